//! Rich text from one form to another, over the one document model of `rich_text`.

use std::borrow::Cow;

use super::{Place, Prepared, Run};
use crate::mapping::document::{RichForm, RichTextStep};
use crate::mapping::program::Row;
use crate::mapping::shape::{Kind, Shape};
use crate::mapping::value::Value;
use crate::record::FieldType;
use crate::record::record_type::TextForm;
use crate::rich_text::{
    Document, read_adf, read_html, read_markdown, read_plain, write_adf, write_html, write_markdown,
    write_plain,
};

#[derive(Debug)]
struct Rewrite {
    input: RichForm,
    output: RichForm,
}

pub(super) fn rich_text(step: &RichTextStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let known = form_of(given);
    if known.is_none() {
        place.takes_text(given).then_some(())?;
    }
    if let (Some(known), Some(said)) = (known, step.input)
        && known != said
    {
        place.error(
            "in",
            format!("the value is known to be {}", given.kind().name()),
            "Leave \"in\" out, or name that form",
        );
        return None;
    }
    let input = step.input.or(known).unwrap_or(RichForm::Plain);
    let wanted = place.target.element().unwrap_or_else(|| place.target.clone());
    let output = step.output.or_else(|| form_of(&wanted)).unwrap_or(RichForm::Plain);
    if input == output {
        place.error(
            "op",
            "the text has that form already",
            "Leave the step out, or say \"in\" and \"out\": html, markdown, adf, plain",
        );
        return None;
    }
    let form = match output {
        RichForm::Html => TextForm::Html,
        RichForm::Markdown => TextForm::Markdown,
        RichForm::Adf => TextForm::Adf,
        RichForm::Plain => TextForm::Multiline,
    };
    let shape = Shape::new(FieldType::Text { max_length: None, form });
    Prepared::new(shape, Rewrite { input, output })
}

/// The form of rich text that a value is known to have.
fn form_of(shape: &Shape) -> Option<RichForm> {
    match shape.kind() {
        Kind::Html => Some(RichForm::Html),
        Kind::Markdown => Some(RichForm::Markdown),
        Kind::Adf => Some(RichForm::Adf),
        _ => None,
    }
}

impl Run for Rewrite {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let text = value.text()?;
        let document = read(self.input, &text)?;
        let written = match self.output {
            RichForm::Html => write_html(&document),
            RichForm::Markdown => write_markdown(&document),
            RichForm::Adf => write_adf(&document).to_string(),
            RichForm::Plain => write_plain(&document),
        };
        Ok(Some(Value::Text(Cow::Owned(written))))
    }
}

fn read(form: RichForm, text: &str) -> Result<Document, String> {
    Ok(match form {
        RichForm::Html => read_html(text),
        RichForm::Markdown => read_markdown(text),
        RichForm::Plain => read_plain(text),
        RichForm::Adf => {
            let tree: serde_json::Value = serde_json::from_str(text)
                .map_err(|_| "is no Atlassian document: it is not JSON".to_owned())?;
            if !tree.is_object() {
                return Err("is no Atlassian document: it is no JSON object".to_owned());
            }
            read_adf(&tree)
        }
    })
}
