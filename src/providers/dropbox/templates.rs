//! Custom properties: each field of a template is a field of files and folders.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::account::Account;
use super::api;
use crate::error::Result;
use crate::provider::Context;

/// Longest value of a property, in bytes of UTF-8.
pub(super) const VALUE_MAX: usize = 1024;

/// A template that the user has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) fields: Vec<TemplateField>,
}

/// One field of a template; all hold text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateField {
    /// As Dropbox calls it.
    pub(super) wire: String,
    /// As it is called here.
    pub(super) property: String,
    pub(super) description: String,
}

impl Template {
    /// The name of a member under which a row carries the value of a field.
    pub(super) fn member(&self, field: &TemplateField) -> String {
        format!("{}/{}", self.id, field.wire)
    }
}

/// Reads all templates of the user.
///
/// # Errors
/// What the service refuses.
pub(super) async fn read(account: &Account, cx: &Context) -> Result<Vec<Template>> {
    #[derive(Deserialize)]
    struct Ids {
        template_ids: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Told {
        name: String,
        fields: Vec<Field>,
    }
    #[derive(Deserialize)]
    struct Field {
        name: String,
        #[serde(default)]
        description: String,
    }
    let call = api::ask("describe", "file_properties/templates/list_for_user", &Json::Null);
    let mut ids = account.ask::<Ids>(cx, "the templates", call).await?.template_ids;
    ids.sort();
    let mut out: Vec<Template> = Vec::new();
    for id in ids {
        let call =
            api::ask("describe", "file_properties/templates/get_for_user", &json!({ "template_id": id }));
        let told: Told = account.ask(cx, "a template", call).await?;
        let mut fields: Vec<TemplateField> = Vec::new();
        for field in told.fields {
            let wanted = property(&told.name, &field.name);
            let taken = |name: &String| {
                let others = out.iter().flat_map(|template| &template.fields);
                others.chain(&fields).any(|own| own.property == *name)
            };
            let Some(property) = std::iter::once(wanted.clone())
                .chain((2..).map(|turn: u32| format!("{wanted}_{turn}")))
                .find(|name| !taken(name))
            else {
                continue;
            };
            fields.push(TemplateField { wire: field.name, property, description: field.description });
        }
        out.push(Template { id, name: told.name, fields });
    }
    Ok(out)
}

/// A property's name: template and field, with what no name may hold as underscores.
fn property(template: &str, field: &str) -> String {
    let text = format!("{template}_{field}");
    let name: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    property_groups: Option<Vec<Group>>,
}

#[derive(Deserialize)]
struct Group {
    template_id: String,
    fields: Vec<Value>,
}

#[derive(Deserialize)]
struct Value {
    name: String,
    value: String,
}

/// A row with the values of its properties as members of their own. A row that cannot be read is left as it is.
pub(super) fn spread(row: &[u8]) -> Vec<u8> {
    let mut out = row.trim_ascii().to_vec();
    let Ok(Groups { property_groups: Some(groups) }) = serde_json::from_slice(&out) else { return out };
    for group in groups {
        for Value { name, value } in group.fields {
            let member = Json::from(format!("{}/{name}", group.template_id));
            if out.pop() == Some(b'}') {
                out.extend_from_slice(format!(",{member}:{}}}", Json::from(value)).as_bytes());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_properties_are_names() {
        assert_eq!(property("Review", "due by"), "Review_due_by");
        assert_eq!(property("2026 plan", "Größe"), "_2026_plan_Gr__e");
    }

    #[test]
    fn properties_stand_in_the_row_itself() {
        let row = br#"{"id":"id:1","property_groups":[{"template_id":"ptid:x","fields":[{"name":"a","value":"\"1\""}]}]}"#;
        let spread: Json = serde_json::from_slice(&spread(row)).unwrap();
        assert_eq!(spread["ptid:x/a"], "\"1\"");
        assert_eq!(super::spread(b"{\"id\":1"), b"{\"id\":1");
    }
}
