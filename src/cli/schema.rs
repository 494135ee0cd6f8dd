//! `recordport schema`: JSON Schemas of record types.

use super::Session;
use super::args::{
    AnnotationsFlag, CompanionFlag, DecimalsFlag, LayoutFlag, SchemaForm, SchemaShow, SchemaUse,
};
use super::output::Done;
use crate::error::Error;
use crate::provider::filter_support::PlannedSupport;
use crate::record::FieldPath;
use crate::record::schema::{
    Annotations, Decimals, Layout, SchemaOptions, SchemaPurpose, companion, filter_schema, pretty,
    query_builder, record_schema, selection_schema,
};
use crate::workspace::Use;

/// Prints one schema.
pub(crate) async fn show(session: &mut Session, args: SchemaShow) -> Done {
    let connected =
        session.connection(&args.of.connection, Use { refresh: args.refresh, dry_run: None }).await?;
    let records = connected.open(&args.of.record_type).await?;
    let record_type = records.record_type();
    let options = SchemaOptions {
        annotations: match args.annotations {
            AnnotationsFlag::Definitions => Annotations::Definitions,
            AnnotationsFlag::Inline => Annotations::Inline,
            AnnotationsFlag::None => Annotations::None,
        },
        layout: match args.layout {
            LayoutFlag::Nested => Layout::Nested,
            LayoutFlag::Flat => Layout::Flat,
        },
        decimals: match args.decimals {
            DecimalsFlag::Number => Decimals::Number,
            DecimalsFlag::String => Decimals::String,
        },
        ..SchemaOptions::default()
    };
    let paths: Vec<FieldPath> = args.select.iter().map(|path| FieldPath::parse(path.trim())).collect();
    let purpose = match (args.purpose, args.form) {
        // The fields of a query builder are the filter schema in other words.
        (SchemaUse::Filter, _) | (_, SchemaForm::ReactQuerybuilder) => SchemaPurpose::Filter,
        (SchemaUse::Read, _) => SchemaPurpose::Read,
        (SchemaUse::Create, _) => SchemaPurpose::Create,
        (SchemaUse::Update, _) => SchemaPurpose::Update,
        (SchemaUse::Key, _) => SchemaPurpose::Key,
    };
    let schema = match purpose {
        SchemaPurpose::Read if !paths.is_empty() => {
            let resolved = records.resolve(&connected.context, &paths).await?;
            selection_schema(record_type, &paths, &resolved, &options)?
        }
        SchemaPurpose::Filter => {
            let resolved = records.resolve(&connected.context, &paths).await?;
            let support = PlannedSupport::new(&*records, &resolved);
            filter_schema(record_type, &paths, &resolved, &support, &options)
        }
        _ if !paths.is_empty() => {
            return Err(Error::invalid("--select goes with --for read and --for filter only").into());
        }
        purpose => record_schema(record_type, purpose, &options),
    };
    let shown = match (args.companion, args.form) {
        (Some(CompanionFlag::Rjsf), _) => companion::rjsf_ui_schema(&schema),
        (Some(CompanionFlag::Jsonforms), _) => companion::jsonforms_ui_schema(&schema),
        (None, SchemaForm::ReactQuerybuilder) => query_builder::to_react_querybuilder(&schema),
        (None, SchemaForm::JsonSchema) => schema,
    };
    session.out.write(pretty(&shown).as_bytes())?;
    Ok(0)
}
