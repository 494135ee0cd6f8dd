//! Creating, changing and deleting records of the small types: one request for each.

use http::Method;
use serde_json::{Map, Value as Json};

use super::PartRecords;
use super::table::{Form, Member, Need};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Change, Context, Edit, Edits, NewRow, Outcome};
use crate::providers::jira::{api, dialect};
use crate::record::{Key, KeyPart};
use crate::rich_text::{markdown_to_adf, write_over};

impl PartRecords {
    /// What became of a row: an answer that was lost leaves it open.
    pub(super) fn settled(&self, written: Result<Outcome>, operation: &'static str) -> Outcome {
        written.unwrap_or_else(|error| {
            let error = self.about(operation)(error);
            if error.leaves_open() { Outcome::lost(&error, None) } else { Outcome::Failed(error) }
        })
    }

    pub(super) async fn create_one(&self, cx: &Context, template: &str, row: &NewRow) -> Result<Outcome> {
        self.nothing_missing(&row.fields)?;
        let body = self.body(&row.fields, None)?;
        let mut address = template.to_owned();
        let issue = text_of(&row.fields, "issueId");
        if template.contains("{issueId}") {
            let issue = issue.clone().unwrap_or_default();
            let key = Key::of(vec![KeyPart::Text(issue)]);
            address = self.address(template, &key)?;
        }
        let door = self.site.door(cx).await?;
        let call =
            api::call("create", &door, Method::POST, &address).with_json(Json::Object(body).to_string());
        let reply = self.site.send(cx, call).await?;
        let id = if reply.body.trim_ascii().is_empty() {
            self.new_link(cx, &row.fields).await?
        } else {
            dialect::read::<super::listing::Identity>("what was created", &reply.body)?.id
        };
        let parts = match issue {
            Some(issue) if self.part.key.len() > 1 => vec![KeyPart::Text(issue), KeyPart::Text(id)],
            _ => vec![KeyPart::Text(id)],
        };
        Ok(Outcome::Created(Key::of(parts)))
    }

    /// What Jira asks for stands in addresses too, and its errors name some of it by other names.
    fn nothing_missing(&self, fields: &Edits) -> Result<()> {
        let is_given = |name: &str| {
            fields.iter().any(|(given, edit)| given == name && !matches!(edit, Edit::Clear))
                || (name == "body" && fields.iter().any(|(given, _)| given == "body_adf"))
        };
        let missing =
            self.part.members.iter().filter(|own| own.on_create == Need::Must && !is_given(own.name));
        let missing: Vec<&str> = missing.map(|own| own.name).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let error = Error::invalid(format!("a new {} needs {}", self.part.name, missing.join(", ")));
        Err(missing.iter().fold(error, |error, name| error.with_field(*name, "is required")))
    }

    /// Jira does not tell the id of a new link: it is the newest between these issues.
    async fn new_link(&self, cx: &Context, fields: &Edits) -> Result<String> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Link {
            id: String,
            outward_issue: super::listing::Identity,
        }
        let inward = text_of(fields, "inwardIssueId").unwrap_or_default();
        let outward = text_of(fields, "outwardIssueId").unwrap_or_default();
        let unknown = || {
            Error::protocol("Jira took the link, but does not list it yet; search issue_link for its id")
                .with_provider("jira")
                .with_code("created_without_id")
        };
        let rows =
            self.rows_of_issue(cx, "create", &inward).await.map_err(|error| unknown().with_source(error))?;
        let links = rows.iter().filter_map(|row| dialect::read::<Link>("a link", row).ok());
        links
            .filter(|link| link.outward_issue.id == outward)
            .max_by_key(|link| link.id.parse::<u64>().unwrap_or(0))
            .map(|link| link.id)
            .ok_or_else(unknown)
    }

    pub(super) async fn update_one(&self, cx: &Context, template: &str, row: &Change) -> Result<Outcome> {
        let address = self.address(template, &row.key)?;
        let gone = || Error::new(ErrorKind::NotFound, format!("there is no {} {}", self.part.name, row.key));
        // Documents are written over what is there, so that what Markdown does not say is kept; and Jira takes no
        // comment without its text.
        let documents = self.part.members.iter().any(|member| member.form == Form::Markdown);
        let present: Option<Json> = if documents {
            let row = self.row(cx, "update", &row.key).await?.ok_or_else(gone)?;
            Some(dialect::read("a row", &row)?)
        } else {
            None
        };
        let mut body = self.body(&row.edits, present.as_ref())?;
        if let Some(present) = &present {
            body.retain(|name, value| present.get(name) != Some(&*value));
            if body.is_empty() {
                return Ok(Outcome::Unchanged(row.key.clone()));
            }
            if self.part.name == "comment" && !body.contains_key("body") {
                body.insert("body".to_owned(), present["body"].clone());
            }
        }
        let door = self.site.door(cx).await?;
        let call = api::call("update", &door, Method::PUT, &address)
            .with_json(Json::Object(body).to_string())
            .idempotent(true);
        self.site.send(cx, call).await?;
        Ok(Outcome::Updated(row.key.clone()))
    }

    pub(super) async fn delete_one(&self, cx: &Context, template: &str, key: &Key) -> Result<Outcome> {
        let address = self.address(template, key)?;
        let door = self.site.door(cx).await?;
        let call = api::call("delete", &door, Method::DELETE, &address).idempotent(true);
        match self.site.send(cx, call).await {
            Ok(_) => Ok(Outcome::Deleted(key.clone())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::Deleted(key.clone())),
            Err(error) => Err(error),
        }
    }

    /// The body of a write: each value where Jira wants it.
    fn body(&self, edits: &Edits, present: Option<&Json>) -> Result<Map<String, Json>> {
        let mut body = Map::new();
        // The document itself, when it is given, is what counts; it comes after its Markdown.
        for member in self.part.members {
            let Some((name, edit)) = edits.iter().find(|(name, _)| name == member.name) else { continue };
            if member.sent.is_empty() {
                continue;
            }
            let wrong =
                |what: String| Error::invalid(format!("{name}: {what}")).with_field(name.clone(), what);
            let value = match edit {
                // Everybody who sees the issue sees what is not limited.
                Edit::Clear if member.sent.len() > 1 && present.is_none() => continue,
                Edit::Clear if member.sent.len() > 1 => {
                    return Err(wrong(
                        "Jira does not take it away; delete the record and create it anew".to_owned(),
                    ));
                }
                // Texts of versions and components are taken away by an empty one: Jira's document knows no null here.
                Edit::Clear if member.form == Form::Lines => Json::from(""),
                Edit::Clear => Json::Null,
                Edit::Set(raw) => {
                    let given = serde_json::from_str(raw.get()).map_err(|error| wrong(error.to_string()))?;
                    sent(member, given, present).map_err(wrong)?
                }
                Edit::List { .. } => return Err(wrong("it is not a list".to_owned())),
            };
            place(&mut body, member.sent, value);
        }
        // What Jira takes as one object only is filled up with what it has.
        for (name, value) in &mut body {
            let before = present.and_then(|row| row[name].as_object());
            let (Some(before), Json::Object(given)) = (before, value) else { continue };
            if before.contains_key("version") {
                continue;
            }
            for (inner, old) in before {
                given.entry(inner.as_str()).or_insert_with(|| old.clone());
            }
        }
        for (name, _) in edits {
            self.member(name)?;
        }
        Ok(body)
    }
}

/// A value as Jira takes it.
fn sent(member: &Member, given: Json, present: Option<&Json>) -> Result<Json, String> {
    Ok(match (member.form, given) {
        (Form::Markdown, Json::String(text)) => match present.map(|row| &row[member.wire]) {
            Some(present) if present.is_object() => write_over(present, &text),
            _ => markdown_to_adf(&text),
        },
        (Form::Document, Json::String(text)) => {
            serde_json::from_str(&text).map_err(|error| format!("this is not JSON: {error}"))?
        }
        (Form::ProjectNumber, Json::String(text)) => {
            text.parse::<u64>().map_err(|_| "a project's id has digits only".to_owned())?.into()
        }
        (Form::Instant, Json::String(text)) => {
            let at: jiff::Timestamp = text.parse().map_err(|error| format!("this is no instant: {error}"))?;
            at.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string().into()
        }
        (_, other) => other,
    })
}

/// Puts a value at the end of a way through objects.
fn place(body: &mut Map<String, Json>, way: &[&str], value: Json) {
    match way {
        [] => {}
        [name] => {
            body.insert((*name).to_owned(), value);
        }
        [name, rest @ ..] => {
            let inner = body.entry((*name).to_owned()).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(inner) = inner {
                place(inner, rest, value);
            }
        }
    }
}

fn text_of(fields: &Edits, name: &str) -> Option<String> {
    fields.iter().find(|(known, _)| known == name).and_then(|(_, edit)| match edit {
        Edit::Set(raw) => serde_json::from_str(raw.get()).ok(),
        _ => None,
    })
}
