//! The fields of the types, from the Stone specification, and what becomes of a row of the wire.

use super::paths;
use super::templates::{Template, VALUE_MAX};
use crate::error::Result;
use crate::provider::paths::unknown;
use crate::record::FieldPath;
use crate::record::record_type::{Field, FieldType, Picklist, PicklistValue, RecordType, TextForm};
use crate::record::transcode::{Conversion, Member, Shape};

/// Most bytes of a content that stands in a row itself; larger ones are written as streams.
pub(super) const INLINE_MAX: u64 = 8 * 1024 * 1024;

/// Which records a type has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// Files, folders and what was deleted.
    Entry,
    /// Revisions of one file.
    Revision,
    SharedLink,
}

/// A field and where it comes from.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) field: Field,
    wire: String,
    conversion: Conversion,
}

/// What can be done with a field besides reading it.
#[derive(Clone, Copy)]
enum May {
    Read,
    /// The service keeps it.
    System,
    /// It follows from others.
    Follows,
    Create,
    Update,
    Both,
}

fn column(name: &str, label: &str, field_type: FieldType, nullable: bool, may: May) -> Column {
    Column {
        field: Field {
            label: label.to_owned(),
            nullable,
            system: matches!(may, May::System),
            calculated: matches!(may, May::Follows),
            // What narrows a listing.
            filterable: ["id", "path", "path_lower", "path_display", "parent_path"].contains(&name),
            createable: matches!(may, May::Create | May::Both),
            updatable: matches!(may, May::Update | May::Both),
            ..Field::new(name, field_type)
        },
        wire: name.to_owned(),
        conversion: Conversion::Raw,
    }
}

impl Column {
    fn from(mut self, wire: &str, conversion: Conversion) -> Self {
        wire.clone_into(&mut self.wire);
        self.conversion = conversion;
        self
    }

    fn help(mut self, help: &str) -> Self {
        self.field.help = Some(help.to_owned());
        self
    }
}

fn line() -> FieldType {
    FieldType::Text { max_length: None, form: TextForm::Plain }
}

fn id() -> FieldType {
    FieldType::Text { max_length: None, form: TextForm::Id }
}

fn whole() -> FieldType {
    FieldType::Integer { minimum: Some(0), maximum: None }
}

fn choice(values: &[(&str, &str)]) -> FieldType {
    let value = |(value, label): &(&str, &str)| PicklistValue {
        value: (*value).into(),
        label: (*label).to_owned(),
        active: true,
        default: false,
        valid_for: None,
    };
    FieldType::Picklist(Picklist {
        values: values.iter().map(value).collect(),
        restricted: false,
        integer: false,
    })
}

/// An object with these members, all of which may be missing.
fn object(name: &str, label: &str, members: Vec<Column>) -> Column {
    let shape = Shape::new(members.iter().map(Column::member)).complete();
    let fields = members.into_iter().map(|member| member.field).collect();
    let mut own = column(name, label, FieldType::Object { fields }, true, May::Read);
    own.conversion = Conversion::Nested(Box::new(shape));
    own
}

fn read(name: &str, label: &str, field_type: FieldType) -> Column {
    column(name, label, field_type, true, May::Read)
}

/// The text of a JSON string.
fn text(raw: &str) -> Result<String, String> {
    serde_json::from_str(raw).map_err(|error| error.to_string())
}

fn parent_of(raw: &str) -> Result<String, String> {
    text(raw).map(|path| paths::parent(&path).to_owned())
}

fn extension_of(raw: &str) -> Result<String, String> {
    text(raw).map(|name| paths::extension(&name).to_owned())
}

fn handle_of(raw: &str) -> Result<String, String> {
    text(raw).map(|rev| format!("rev:{rev}"))
}

fn tag_of(raw: &str) -> &'static str {
    // Unions that a value is wrapped in: `{".tag":"public"}`.
    match serde_json::from_str::<serde_json::Value>(raw)
        .ok()
        .as_ref()
        .and_then(|value| value[".tag"].as_str())
    {
        Some("public") => "public",
        Some("team" | "team_only") => "team",
        Some("members") => "members",
        Some("no_one") => "no_one",
        Some("password") => "password",
        Some("shared_folder_only") => "members",
        _ => "other",
    }
}

fn audience_of(raw: &str) -> Result<String, String> {
    let permissions: serde_json::Value = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    let told = ["effective_audience", "resolved_visibility", "requested_visibility"];
    let found = told.iter().find_map(|name| permissions.get(name).filter(|value| !value.is_null()));
    Ok(found.map_or("other", |value| tag_of(&value.to_string())).to_owned())
}

fn downloads_of(raw: &str) -> Result<String, String> {
    let permissions: serde_json::Value = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    Ok(if permissions["allow_download"] == true { "yes" } else { "no" }.to_owned())
}

/// Name, path and what follows from them; with rights for types whose entries can be moved.
fn places(kind: Kind) -> Vec<Column> {
    let moves = matches!(kind, Kind::File | Kind::Folder);
    let (update, both) = if moves { (May::Update, May::Both) } else { (May::Read, May::Read) };
    let name = FieldType::text(paths::NAME_MAX);
    let mut path = column("path", "Path", line(), kind != Kind::File && kind != Kind::Folder, both)
        .from("path_display", Conversion::Raw)
        .help("From the root, with the case in which it was written; one without a slash at its beginning lies in the folder of the type");
    path.field.required_on_create = moves;
    path.field.unique = moves;
    let mut lower = column("path_lower", "Path in lower case", line(), kind != Kind::Entry, May::Follows);
    lower.field.unique = true;
    vec![
        column("name", "Name", name, false, update),
        path,
        lower,
        column("path_display", "Path to show", line(), true, May::Follows),
        column("parent_path", "Folder", line(), true, update)
            .from("path_display", Conversion::Text(parent_of))
            .help("The folder that it is in; empty at the root"),
    ]
}

/// What a file has besides its place; `writes` for types whose content can be written.
fn bytes(nullable: bool, writes: bool) -> Vec<Column> {
    let instant = || FieldType::Instant;
    let mut modified = column(
        "client_modified",
        "Modified by the client",
        instant(),
        nullable,
        if writes { May::Create } else { May::Read },
    )
    .help("When the file was changed as its writer says; whole seconds");
    modified.field.defaulted_on_create = writes;
    let mut revision = column("rev", "Revision", id(), nullable, May::System);
    if writes {
        revision.field.updatable = true;
        revision = revision.help("Set to an earlier revision, the file has that content again");
    }
    let mut out = vec![
        column("extension", "Extension", line(), nullable, May::Follows)
            .from("name", Conversion::Text(extension_of)),
        column("size", "Size", whole(), nullable, May::System).help("In bytes"),
        column("content_hash", "Content hash", id(), true, May::System)
            .help("SHA-256 of the SHA-256s of all blocks of 4 MiB"),
        modified,
        column("server_modified", "Modified at Dropbox", instant(), nullable, May::System),
        revision,
    ];
    let content = FieldType::Binary { max_bytes: Some(INLINE_MAX), inline: true };
    let mut content = column(
        "content",
        "Content",
        content,
        nullable,
        if writes { May::Both } else { May::Read },
    )
    .from("rev", Conversion::Text(handle_of))
    .help("The bytes: read as the revision that has them, written as base64 text; larger ones as a stream");
    content.field.defaulted_on_create = writes;
    out.push(content);
    out
}

fn file_details() -> Vec<Column> {
    let format = Field { label: "Format".to_owned(), ..Field::new("format", line()) };
    vec![
        column("is_downloadable", "Can be downloaded", FieldType::Boolean, true, May::System),
        read("preview_url", "Preview", FieldType::Text { max_length: None, form: TextForm::Url }),
        column(
            "has_explicit_shared_members",
            "Has members of its own",
            FieldType::Boolean,
            true,
            May::System,
        ),
        column("is_restorable", "Can be restored", FieldType::Boolean, true, May::System),
        column("parent_shared_folder_id", "Shared folder", id(), true, May::System),
        object("symlink_info", "Symbolic link", vec![read("target", "Target", line())]),
        object(
            "sharing_info",
            "Sharing",
            vec![
                read("read_only", "Read-only", FieldType::Boolean),
                read("parent_shared_folder_id", "Shared folder", id()),
                read("modified_by", "Modified by", id()),
            ],
        ),
        object(
            "export_info",
            "Export",
            vec![
                read("export_as", "Format", line()),
                read("export_options", "Further formats", FieldType::List { element: Box::new(format) }),
            ],
        ),
        object(
            "file_lock_info",
            "Lock",
            vec![
                read("is_lockholder", "Locked by this user", FieldType::Boolean),
                read("lockholder_name", "Locked by", line()),
                read("lockholder_account_id", "Account of the locker", id()),
                read("created", "Locked at", FieldType::Instant),
            ],
        ),
        read("media_info", "Photo or video", FieldType::Json).from("media_info", Conversion::JsonText),
    ]
}

fn folder_details() -> Vec<Column> {
    vec![
        column("shared_folder_id", "Shared folder", id(), true, May::System),
        column("parent_shared_folder_id", "Shared folder above", id(), true, May::System),
        read("preview_url", "Preview", FieldType::Text { max_length: None, form: TextForm::Url }),
        object(
            "sharing_info",
            "Sharing",
            vec![
                read("read_only", "Read-only", FieldType::Boolean),
                read("parent_shared_folder_id", "Shared folder above", id()),
                read("shared_folder_id", "Shared folder mounted here", id()),
                read("traverse_only", "Only to pass through", FieldType::Boolean),
                read("no_access", "No access", FieldType::Boolean),
            ],
        ),
    ]
}

fn kinds(values: &[(&str, &str)]) -> Column {
    column("kind", "Kind", choice(values), false, May::System).from(".tag", Conversion::Raw)
}

const FILE: (&str, &str) = ("file", "File");
const FOLDER: (&str, &str) = ("folder", "Folder");

fn link_columns() -> Vec<Column> {
    let mut url = column(
        "url",
        "Address",
        FieldType::Text { max_length: None, form: TextForm::Url },
        false,
        May::System,
    );
    url.field.unique = true;
    let mut path = column("path", "Path", line(), true, May::Create)
        .from("path_lower", Conversion::Raw)
        .help("The file or folder that is shared; written as a path or an id");
    path.field.required_on_create = true;
    path.field.unique = true;
    let audience = [
        ("public", "Everybody with the link"),
        ("team", "The team"),
        ("members", "Members of the file or folder"),
        ("no_one", "Nobody"),
        ("password", "Everybody with the password"),
        ("other", "Others"),
    ];
    let mut audience = column("audience", "Audience", choice(&audience), false, May::Both)
        .from("link_permissions", Conversion::Text(audience_of));
    audience.field.defaulted_on_create = true;
    vec![
        url,
        kinds(&[FILE, FOLDER]),
        column("id", "Id of the entry", id(), true, May::System),
        column("name", "Name", line(), false, May::System),
        path,
        column("path_lower", "Path in lower case", line(), true, May::Follows),
        column("expires", "Expires", FieldType::Instant, true, May::Both),
        audience,
        column(
            "allow_download",
            "Download",
            choice(&[("yes", "Allowed"), ("no", "Not allowed")]),
            false,
            May::System,
        )
        .from("link_permissions", Conversion::Text(downloads_of)),
        column("size", "Size", whole(), true, May::System),
        column("rev", "Revision", id(), true, May::System),
        column("client_modified", "Modified by the client", FieldType::Instant, true, May::System),
        column("server_modified", "Modified at Dropbox", FieldType::Instant, true, May::System),
        read("link_permissions", "Permissions", FieldType::Json)
            .from("link_permissions", Conversion::JsonText),
    ]
}

fn key_column(name: &str, label: &str) -> Column {
    let mut own = column(name, label, id(), false, May::System);
    own.field.unique = true;
    own
}

/// The columns of a type, with those of its custom properties.
pub(super) fn of(kind: Kind, templates: &[Template]) -> Vec<Column> {
    let mut out = match kind {
        Kind::File => {
            let mut out = vec![key_column("id", "Id")];
            out.extend(places(kind));
            out.extend(bytes(false, true));
            out.extend(file_details());
            out
        }
        Kind::Folder => {
            let mut out = vec![key_column("id", "Id")];
            out.extend(places(kind));
            out.extend(folder_details());
            out
        }
        Kind::Entry => {
            let mut out = vec![kinds(&[FILE, FOLDER, ("deleted", "Deleted")])];
            out.push(column("id", "Id", id(), true, May::System));
            out.extend(places(kind));
            out.extend(bytes(true, false));
            out.extend([
                column("is_downloadable", "Can be downloaded", FieldType::Boolean, true, May::System),
                column("is_restorable", "Can be restored", FieldType::Boolean, true, May::System),
            ]);
            out
        }
        Kind::Revision => {
            let mut out = bytes(false, false);
            out.retain(|column| column.field.name != "rev");
            out.insert(0, key_column("rev", "Revision"));
            out.insert(1, column("id", "Id of the file", id(), false, May::System));
            out.splice(2..2, places(kind));
            out
        }
        Kind::SharedLink => link_columns(),
    };
    if matches!(kind, Kind::File | Kind::Folder) {
        out.extend(properties(templates));
    }
    out
}

fn properties(templates: &[Template]) -> impl Iterator<Item = Column> {
    templates.iter().flat_map(move |template| {
        template.fields.iter().map(move |field| {
            // The limit counts bytes; a character has four at most.
            let form = FieldType::text(VALUE_MAX as u64 / 4);
            let mut own = column(
                &field.property,
                &format!("{} ({})", field.wire, template.name),
                form,
                true,
                May::Both,
            )
            .from(&template.member(field), Conversion::Raw);
            own.field.wire_name = Some(template.member(field));
            own.field.group = Some(template.name.clone());
            own.field.help = (!field.description.is_empty()).then(|| field.description.clone());
            own
        })
    })
}

impl Column {
    fn member(&self) -> Member {
        Member { wire: self.wire.clone(), out: self.field.name.clone(), conversion: self.conversion.clone() }
    }
}

impl Kind {
    /// The name in front of the colon.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Entry => "entry",
            Self::Revision => "revision",
            Self::SharedLink => "shared_link",
        }
    }

    /// The wire member that is the key.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::File | Self::Folder => "id",
            Self::Entry => "path_lower",
            Self::Revision => "rev",
            Self::SharedLink => "url",
        }
    }
}

/// The shape of rows with the selected properties.
///
/// # Errors
/// Invalid for a path that leads nowhere.
pub(super) fn shape(
    columns: &[Column],
    kind: Kind,
    record_type: &RecordType,
    select: &[FieldPath],
    besides: &[FieldPath],
) -> Result<Shape> {
    let selected = record_type.selection(select);
    let mut members: Vec<Member> = Vec::new();
    for path in selected.iter().chain(besides) {
        let name = path.segments().first().map_or("", String::as_str);
        let column = columns.iter().find(|column| column.field.name == name);
        let column = column.ok_or_else(|| unknown(path, record_type, name))?;
        if !members.iter().any(|member| member.out == name) {
            members.push(column.member());
        }
    }
    let shape = Shape::new(members).with_key([kind.key()]).complete();
    Ok(if kind == Kind::File { shape.with_version("rev") } else { shape })
}
