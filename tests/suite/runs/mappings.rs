//! Mappings from end to end over all five services, each judged by what the target's service holds afterwards, field by
//! field. Files that become attachments are in `along.rs`, accounts both ways in `end_to_end.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::{World, counts, summary};

/// A mapping from a type of one connection to a type of another.
fn mapping(name: &str, source: (&str, &str, Value), target: (&str, &str, &str), fields: Value) -> Value {
    json!({
        "recordport": "mapping/1",
        "name": name,
        "source": {"connection": source.0, "type": source.1, "query": source.2},
        "target": {"connection": target.0, "type": target.1, "operation": target.2},
        "fields": fields,
    })
}

fn run(world: &World, mapping: &Value, more: &[&str]) -> Value {
    let file = world.mapping(mapping);
    counts(&summary(&world.run(&[&[file.as_str()], more].concat()).expect(0)))
}

/// Runs a mapping of creates and gives the rows that the target has because of it, by what stands at a pointer in them.
#[track_caller]
fn added(
    world: &World,
    mapping: &Value,
    (service, record_type, id): (&str, &str, &str),
    by: &str,
    rows: usize,
) -> BTreeMap<String, Value> {
    let ids = |rows: &[Value]| -> BTreeSet<String> { rows.iter().map(|row| row[id].to_string()).collect() };
    let before = ids(&world.state(service, record_type));
    let counted = run(world, mapping, &[]);
    assert_eq!((&counted["read"], &counted["created"]), (&json!(rows), &json!(rows)), "{}", mapping["name"]);
    let new =
        world.state(service, record_type).into_iter().filter(|row| !before.contains(&row[id].to_string()));
    let new: BTreeMap<String, Value> = new
        .map(|row| (row.pointer(by).and_then(Value::as_str).unwrap_or_default().to_owned(), row))
        .collect();
    assert_eq!(new.len(), rows, "{}", mapping["name"]);
    new
}

/// Rows of a service by what stands at a pointer in them.
fn rows(world: &World, service: &str, record_type: &str, by: &str) -> BTreeMap<String, Value> {
    let key = |row: &Value| row.pointer(by).and_then(Value::as_str).map(str::to_owned);
    world.state(service, record_type).into_iter().filter_map(|row| Some((key(&row)?, row))).collect()
}

/// Compares fields of a row with what they must hold.
#[track_caller]
fn holds(row: &Value, wanted: &[(&str, Value)]) {
    for (pointer, wanted) in wanted {
        let found = row.pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(found, wanted, "{pointer} of {row}");
    }
}

fn text(value: &Value) -> Value {
    value.as_str().map_or(Value::Null, |text| json!(text.trim()))
}

fn instant(value: &Value) -> jiff::Timestamp {
    value.as_str().expect("an instant").replace("+0000", "Z").parse().expect("an instant")
}

/// The texts of a document's paragraphs, as a text without marks has them.
fn plain(adf: &Value) -> Value {
    let Some(blocks) = adf["content"].as_array() else { return Value::Null };
    let text = |block: &Value| -> String {
        let parts = block["content"].as_array().into_iter().flatten();
        parts
            .map(|part| if part["type"] == "hardBreak" { "\n" } else { part["text"].as_str().unwrap_or("") })
            .collect()
    };
    json!(blocks.iter().map(text).collect::<Vec<_>>().join("\n\n"))
}

fn calendar(world: &World) -> String {
    world.state("google-calendar", "calendar")[0]["id"].as_str().expect("an id").to_owned()
}

/// What a new bug needs besides.
fn bug(mut rules: Value) -> Value {
    let rest = [("project", "10000"), ("issuetype", "10003"), ("customfield_10020", "100201")];
    let list = rules.as_array_mut().expect("rules");
    list.extend(rest.map(|(to, value)| json!({"to": to, "const": value})));
    rules
}

fn contacts_become_series_of_events(world: &World) {
    let calendar = format!("event:{}", calendar(world));
    let of_item = |rules: Value| json!([{"op": "split", "by": ","}, {"op": "each", "fields": rules}]);
    let mapping = mapping(
        "contacts-to-events",
        ("sf", "Contact", json!({"where": "Email IS NOT NULL", "limit": 3})),
        ("cal", &calendar, "create"),
        json!([
            {"to": "summary", "template": "Call {FirstName?} {LastName}", "steps": [{"op": "trim", "inside": true}]},
            {"to": "start.dateTime", "from": "CreatedDate"},
            {"to": "start.timeZone", "const": "Europe/Prague"},
            {"to": "end.dateTime", "from": "CreatedDate", "steps": [{"op": "expr", "cel": "value + duration('45m')"}]},
            {"to": "end.timeZone", "const": "Europe/Prague"},
            {"to": "recurrence", "const": ["RRULE:FREQ=MONTHLY;COUNT=12"]},
            {"to": "attendees", "from": "Email", "steps": of_item(json!([{"to": "email", "from": "@item"}]))},
            {"to": "privateExtendedProperties", "from": "Id", "steps": of_item(json!([
                {"to": "key", "const": "contact"}, {"to": "value", "from": "@item"}]))},
        ]),
    );
    let events =
        added(world, &mapping, ("google-calendar", "event", "id"), "/extendedProperties/private/contact", 3);
    let contacts = rows(world, "salesforce", "Contact", "/Id");
    for (id, event) in &events {
        let contact = &contacts[id];
        let name = format!(
            "Call {} {}",
            contact["FirstName"].as_str().unwrap_or(""),
            contact["LastName"].as_str().expect("a name")
        );
        let name: Vec<&str> = name.split_whitespace().collect();
        let begins = instant(&contact["CreatedDate"]);
        assert_eq!(instant(&event["start"]["dateTime"]), begins);
        assert_eq!(instant(&event["end"]["dateTime"]), begins + jiff::SignedDuration::from_mins(45));
        holds(
            event,
            &[
                ("/summary", json!(name.join(" "))),
                ("/start/timeZone", json!("Europe/Prague")),
                ("/end/timeZone", json!("Europe/Prague")),
                ("/recurrence", json!(["RRULE:FREQ=MONTHLY;COUNT=12"])),
                ("/status", json!("confirmed")),
            ],
        );
        let guests = event["attendees"].as_array().expect("guests").iter();
        let mut addresses = guests.filter_map(|guest| guest["email"].as_str());
        let wanted = contact["Email"].as_str().expect("an address");
        assert!(addresses.any(|address| address.eq_ignore_ascii_case(wanted)), "{event}");
    }
}

fn bugs_become_cases_with_plain_text(world: &World) {
    let priorities = json!({"1": "High", "2": "High", "3": "Medium", "4": "Low", "5": "Low"});
    let mapping = mapping(
        "bugs-to-cases",
        ("jira", "issue:OPS/Bug", json!({"limit": 4})),
        ("sf", "Case", "create"),
        json!([
            {"to": "Subject", "from": "summary"},
            {"to": "Description", "from": "description", "steps": [{"op": "rich_text"}]},
            {"to": "Priority", "from": "priority", "steps": [{"op": "picklist", "map": priorities}]},
            {"to": "SuppliedName", "from": "key"},
            {"to": "Origin", "const": "Web"},
        ]),
    );
    let cases = added(world, &mapping, ("salesforce", "Case", "Id"), "/SuppliedName", 4);
    let bugs = rows(world, "jira", "issue", "/key");
    for (key, case) in &cases {
        let fields = &bugs[key]["fields"];
        holds(
            case,
            &[
                ("/Subject", text(&fields["summary"])),
                ("/Description", plain(&fields["description"])),
                ("/Priority", priorities[fields["priority"]["id"].as_str().expect("a priority")].clone()),
                ("/Origin", json!("Web")),
                ("/Status", json!("New")),
            ],
        );
    }
}

fn cases_become_bugs_with_rich_text(world: &World) {
    let priorities = json!({"High": "2", "Medium": "3", "Low": "4"});
    let mapping = mapping(
        "cases-to-bugs",
        ("sf", "Case", json!({"where": "Subject IS NOT NULL", "limit": 4})),
        ("jira", "issue:OPS/Bug", "create"),
        bug(json!([
            {"to": "summary", "from": "Subject", "steps": [{"op": "trim"}], "on_missing": "error"},
            {"to": "description", "from": "Description", "steps": [{"op": "rich_text"}]},
            {"to": "priority", "from": "Priority", "steps": [{"op": "picklist", "map": priorities}]},
            {"to": "customfield_10030", "from": "CaseNumber"},
        ])),
    );
    let bugs = added(world, &mapping, ("jira", "issue", "id"), "/fields/customfield_10030", 4);
    let cases = rows(world, "salesforce", "Case", "/CaseNumber");
    for (number, bug) in &bugs {
        let (case, fields) = (&cases[number], &bug["fields"]);
        holds(
            fields,
            &[
                ("/summary", text(&case["Subject"])),
                ("/issuetype/name", json!("Bug")),
                ("/project/key", json!("OPS")),
            ],
        );
        if let Some(priority) = case["Priority"].as_str() {
            assert_eq!(fields["priority"]["id"], priorities[priority], "{bug}");
        }
        let words = |text: &Value| -> Vec<String> {
            text.as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        assert_eq!(words(&plain(&fields["description"])), words(&case["Description"]), "{bug}");
    }
}

fn accounts_are_upserted_with_their_parents(world: &World) {
    let mut mapping = mapping(
        "accounts-to-salesforce",
        ("dv", "account", json!({"limit": 25})),
        ("sf", "Account", "upsert"),
        json!([
            {"to": "Source_Key__c", "from": "accountid"},
            {"to": "Name", "from": "name"},
            {"to": "Phone", "from": "telephone1", "on_missing": "null"},
            {"to": "AnnualRevenue", "from": "revenue", "steps": [{"op": "round"}]},
            {"to": "ParentId", "from": "parentaccountid", "steps": [
                {"op": "lookup", "type": "Account", "by": ["Source_Key__c"], "else": "skip"}]},
        ]),
    );
    mapping["target"]["by"] = json!(["Source_Key__c"]);
    assert_eq!(run(world, &mapping, &[])["created"], 25);
    // The second time the parents are there.
    assert_eq!(run(world, &mapping, &[])["updated"], 25);
    let firms = rows(world, "dynamics", "account", "/accountid");
    // Those that were there before have keys of their own.
    let mut accounts = rows(world, "salesforce", "Account", "/Source_Key__c");
    accounts.retain(|id, _| firms.contains_key(id));
    assert_eq!(accounts.len(), 25);
    let mut led = 0;
    for (id, account) in &accounts {
        let firm = &firms[id];
        let parent = firm["_parentaccountid_value"].as_str().and_then(|parent| accounts.get(parent));
        led += usize::from(parent.is_some());
        holds(
            account,
            &[
                ("/Name", text(&firm["name"])),
                ("/Phone", text(&firm["telephone1"])),
                ("/ParentId", parent.map_or(Value::Null, |parent| parent["Id"].clone())),
            ],
        );
        let revenue = |value: &Value| value.as_f64().map(f64::round);
        assert_eq!(revenue(&account["AnnualRevenue"]), revenue(&firm["revenue"]), "{account}");
    }
    assert!(led > 0, "some have parents among them");
}

fn due_dates_of_bugs_become_whole_days(world: &World) {
    let calendar = format!("event:{}", calendar(world));
    let mapping = mapping(
        "bugs-to-days",
        ("jira", "issue:OPS/Bug", json!({"where": "duedate IS NOT NULL", "limit": 3})),
        ("cal", &calendar, "create"),
        json!([
            {"to": "summary", "from": "key"},
            {"to": "start.date", "from": "duedate"},
            {"to": "end.date", "from": "duedate", "steps": [{"op": "expr", "cel": "value + duration('24h')"}]},
            {"to": "transparency", "const": "transparent"},
        ]),
    );
    let events = added(world, &mapping, ("google-calendar", "event", "id"), "/summary", 3);
    let bugs = rows(world, "jira", "issue", "/key");
    for (key, event) in &events {
        let due: jiff::civil::Date =
            bugs[key]["fields"]["duedate"].as_str().expect("a day").parse().expect("a day");
        holds(
            event,
            &[
                ("/start/date", json!(due.to_string())),
                ("/end/date", json!(due.tomorrow().expect("a day").to_string())),
                ("/start/dateTime", Value::Null),
                ("/transparency", json!("transparent")),
            ],
        );
    }
}

fn contacts_of_dynamics_become_contacts(world: &World) {
    let mapping = mapping(
        "contacts-to-contacts",
        ("dv", "contact", json!({"where": "lastname IS NOT NULL", "limit": 4})),
        ("sf", "Contact", "create"),
        json!([
            {"to": "LastName", "from": "lastname", "on_missing": "error"},
            {"to": "FirstName", "from": "firstname", "steps": [{"op": "truncate"}]},
            {"to": "Email", "from": "emailaddress1", "steps": [{"op": "trim"}, {"op": "case", "to": "lower"}]},
            {"to": "Birthdate", "from": "birthdate"},
            {"to": "Department", "from": "contactid"},
            {"to": "Title", "from": "gendercode", "steps": [{"op": "label"}]},
            {"to": "DoNotCall", "from": "donotphone"},
        ]),
    );
    let made = added(world, &mapping, ("salesforce", "Contact", "Id"), "/Department", 4);
    let contacts = rows(world, "dynamics", "contact", "/contactid");
    for (id, made) in &made {
        let contact = &contacts[id];
        let gender = match contact["gendercode"].as_i64() {
            Some(1) => json!("Male"),
            Some(2) => json!("Female"),
            _ => Value::Null,
        };
        let address =
            contact["emailaddress1"].as_str().map_or(Value::Null, |text| json!(text.trim().to_lowercase()));
        holds(
            made,
            &[
                ("/LastName", text(&contact["lastname"])),
                ("/Email", address),
                ("/Birthdate", contact["birthdate"].clone()),
                ("/Title", gender),
                ("/DoNotCall", contact["donotphone"].clone()),
            ],
        );
    }
}

fn incidents_become_bugs_with_labels(world: &World) {
    let mapping = mapping(
        "incidents-to-bugs",
        ("dv", "incident", json!({"where": "ticketnumber IS NOT NULL", "limit": 4})),
        ("jira", "issue:OPS/Bug", "create"),
        bug(json!([
            {"to": "summary", "template": "{ticketnumber} {title}", "steps": [{"op": "trim", "inside": true}]},
            {"to": "priority", "from": "prioritycode", "steps": [
                {"op": "picklist", "map": {"1": "2", "2": "3", "3": "4"}}]},
            {"to": "labels", "from": "casetypecode", "steps": [
                {"op": "label"}, {"op": "case", "to": "lower"}, {"op": "split", "by": ","}]},
            {"to": "customfield_10030", "from": "ticketnumber"},
        ])),
    );
    let bugs = added(world, &mapping, ("jira", "issue", "id"), "/fields/customfield_10030", 4);
    let incidents = rows(world, "dynamics", "incident", "/ticketnumber");
    for (number, bug) in &bugs {
        let incident = &incidents[number];
        let title = format!("{number} {}", incident["title"].as_str().expect("a title"));
        let title: Vec<&str> = title.split_whitespace().collect();
        let labels = match incident["casetypecode"].as_i64() {
            Some(1) => json!(["question"]),
            Some(2) => json!(["problem"]),
            Some(3) => json!(["request"]),
            _ => json!([]),
        };
        holds(&bug["fields"], &[("/summary", json!(title.join(" "))), ("/labels", labels)]);
        if let Some(priority) = incident["prioritycode"].as_i64() {
            assert_eq!(bug["fields"]["priority"]["id"], (priority + 1).to_string(), "{bug}");
        }
    }
}

fn accounts_get_folders(world: &World) {
    let mapping = mapping(
        "accounts-to-folders",
        ("sf", "Account", json!({"limit": 3})),
        ("box", "folder", "create"),
        json!([{"to": "path", "template": "/Customers/{Id}"}]),
    );
    let accounts = rows(world, "salesforce", "Account", "/Id");
    assert_eq!(run(world, &mapping, &[])["created"], 3);
    let folders = world.state("dropbox", "folder");
    let made: Vec<&str> = folders
        .iter()
        .filter_map(|folder| folder["path_display"].as_str())
        .filter(|path| path.contains("/Customers/"))
        .collect();
    assert_eq!(made.len(), 3, "{made:?}");
    assert!(
        made.iter().all(|path| path.rsplit('/').next().is_some_and(|id| accounts.contains_key(id))),
        "{made:?}"
    );
}

fn events_become_tasks(world: &World) {
    let calendar = format!("event:{}", calendar(world));
    let mapping = mapping(
        "events-to-tasks",
        ("cal", &calendar, json!({"where": "start.dateTime IS NOT NULL", "limit": 4})),
        ("sf", "Task", "create"),
        json!([
            {"to": "Subject", "from": "summary"},
            {"to": "ActivityDate", "from": "start.dateTime", "steps": [
                {"op": "date", "zone": "Europe/Prague", "out": "date"}]},
            {"to": "Description", "from": "id"},
            {"to": "Status", "const": "Not Started"},
            {"to": "Priority", "const": "Normal"},
        ]),
    );
    let tasks = added(world, &mapping, ("salesforce", "Task", "Id"), "/Description", 4);
    let events = rows(world, "google-calendar", "event", "/id");
    for (id, task) in &tasks {
        let begins = instant(&events[id]["start"]["dateTime"]).in_tz("Europe/Prague").expect("a zone");
        holds(
            task,
            &[
                ("/Subject", text(&events[id]["summary"])),
                ("/ActivityDate", json!(begins.date().to_string())),
                ("/Status", json!("Not Started")),
                ("/Priority", json!("Normal")),
            ],
        );
    }
}

fn files_become_tasks(world: &World) {
    let mapping = mapping(
        "files-to-tasks",
        ("box", "file:/Lists/2024", json!({"limit": 4})),
        ("sf", "Task", "create"),
        json!([
            {"to": "Subject", "template": "Read {name}"},
            {"to": "ActivityDate", "from": "server_modified", "steps": [{"op": "date", "zone": "UTC", "out": "date"}]},
            {"to": "Description", "from": "id"},
            {"to": "Status", "const": "Not Started"},
            {"to": "Priority", "cases": [{"where": "size > 800", "const": "High"}, {"const": "Low"}]},
        ]),
    );
    let tasks = added(world, &mapping, ("salesforce", "Task", "Id"), "/Description", 4);
    let files = rows(world, "dropbox", "file", "/id");
    for (id, task) in &tasks {
        let file = &files[id];
        let large = file["size"].as_u64().expect("a size") > 800;
        holds(
            task,
            &[
                ("/Subject", json!(format!("Read {}", file["name"].as_str().expect("a name")))),
                ("/ActivityDate", json!(file["server_modified"].as_str().and_then(|at| at.get(..10)))),
                ("/Priority", json!(if large { "High" } else { "Low" })),
            ],
        );
    }
}

/// Every event that is made, changed and deleted becomes an appointment that is so too.
fn events_are_followed_into_appointments(world: &World) {
    let calendar = calendar(world);
    let events = format!("event:{calendar}");
    let event = |summary: Value, day: u32, location: Value| {
        let at = |hour: u32| json!({"dateTime": format!("2031-03-{day:02}T{hour:02}:00:00+01:00"), "timeZone": "Europe/Berlin"});
        json!({"summary": summary, "start": at(9), "end": at(10), "location": location}).to_string() + "\n"
    };
    let new = [
        event(json!("Visit #ACC-000002"), 3, json!("Brno")),
        event(json!("Alone"), 4, Value::Null),
        event(Value::Null, 5, json!("Oslo")),
    ];
    let made = world.home.feed(&["create", "cal", &events], new.concat()).expect(0).lines();
    let ids: Vec<&str> = made.iter().map(|one| one["key"][1].as_str().expect("an id")).collect();
    let mut mapping = mapping(
        "events-to-appointments",
        ("cal", &events, json!({"where": "start.dateTime > '2031-01-01T00:00:00Z'"})),
        ("dv", "appointment", "upsert"),
        json!([
            {"to": "globalobjectid", "from": "id"},
            {"to": "subject", "from": "summary", "steps": [{"op": "default", "value": "(no title)"}, {"op": "truncate"}]},
            {"to": "scheduledstart", "from": "start.dateTime"},
            {"to": "scheduledend", "from": "end.dateTime"},
            {"to": "location", "from": "location", "steps": [{"op": "truncate"}], "on_missing": "null"},
            {"to": "regardingobjectid", "from": "summary", "steps": [
                {"op": "default", "value": ""}, {"op": "split", "by": "#"}, {"op": "item", "index": 1},
                {"op": "lookup", "type": "account", "by": ["accountnumber"], "else": "skip"}]},
            {"to": "regardingobjectid_type", "cases": [{"where": "summary LIKE '%#%'", "const": "account"}]},
        ]),
    );
    mapping["target"]["by"] = json!(["globalobjectid"]);
    mapping["on_source_delete"] = json!("delete");
    assert_eq!(run(world, &mapping, &["--changes"])["created"], 3);
    let appointments = || rows(world, "dynamics", "appointment", "/globalobjectid");
    let firm = rows(world, "dynamics", "account", "/accountnumber")["ACC-000002"]["accountid"].clone();
    let wanted = |subject: &str, day: u32, location: Value, regarding: Value| {
        [
            ("/subject", json!(subject)),
            ("/scheduledstart", json!(format!("2031-03-{day:02}T08:00:00Z"))),
            ("/scheduledend", json!(format!("2031-03-{day:02}T09:00:00Z"))),
            ("/location", location),
            ("/_regardingobjectid_value", regarding),
        ]
    };
    let now = appointments();
    holds(&now[ids[0]], &wanted("Visit #ACC-000002", 3, json!("Brno"), firm.clone()));
    holds(&now[ids[1]], &wanted("Alone", 4, Value::Null, Value::Null));
    holds(&now[ids[2]], &wanted("(no title)", 5, json!("Oslo"), Value::Null));
    let idle = run(world, &mapping, &["--changes"]);
    assert_eq!((&idle["created"], &idle["updated"], &idle["deleted"]), (&json!(0), &json!(0), &json!(0)));

    let change = json!({"@key": [calendar, ids[0]], "summary": "Visit later", "location": null});
    world.home.feed(&["update", "cal", &events], change.to_string()).expect(0);
    world.home.run(&["delete", "cal", &events, &json!([calendar, ids[1]]).to_string()]).expect(0);
    world.emulator.control("POST", "clock", &json!({"advance_seconds": 5}));
    let changed = run(world, &mapping, &["--changes"]);
    assert_eq!(
        (&changed["created"], &changed["updated"], &changed["deleted"]),
        (&json!(0), &json!(1), &json!(1)),
        "{changed}"
    );
    let now = appointments();
    // A value that is missing leaves the field as it is: the visit still regards the account.
    holds(&now[ids[0]], &wanted("Visit later", 3, Value::Null, firm));
    assert!(!now.contains_key(ids[1]), "deleted there, deleted here");
    holds(&now[ids[2]], &wanted("(no title)", 5, json!("Oslo"), Value::Null));
}

/// Runs a mapping and looks at what it wrote.
type Check = fn(&World);

#[test]
fn mappings_between_all_five_services_give_what_they_say_field_by_field() {
    let world = World::new(&[]);
    world
        .home
        .run(&["connect", "dropbox", "box", "--emulator", &world.emulator.url(), "--no-browser"])
        .expect(0);
    // Those that read what others write come first.
    let each: [(&str, Check); 11] = [
        ("accounts to folders", accounts_get_folders),
        ("bugs to cases", bugs_become_cases_with_plain_text),
        ("due dates of bugs to whole days", due_dates_of_bugs_become_whole_days),
        ("cases to bugs", cases_become_bugs_with_rich_text),
        ("contacts to series of events", contacts_become_series_of_events),
        ("contacts of Dynamics to contacts of Salesforce", contacts_of_dynamics_become_contacts),
        ("incidents to bugs", incidents_become_bugs_with_labels),
        ("accounts with their parents", accounts_are_upserted_with_their_parents),
        ("events to tasks", events_become_tasks),
        ("files to tasks", files_become_tasks),
        ("events to appointments, followed", events_are_followed_into_appointments),
    ];
    let run = |one: Check| catch_unwind(AssertUnwindSafe(|| one(&world)));
    let wrong: Vec<&str> =
        each.into_iter().filter(|(_, one)| run(*one).is_err()).map(|(name, _)| name).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_mapping_that_is_kept_runs_by_its_name() {
    let world = World::new(&[]);
    let mut first = super::dynamics_to_salesforce();
    first["source"]["query"] = json!({"limit": 2});
    let file = world.mapping(&first);
    world.home.run(&["map", "save", &file]).expect(0);
    let name = first["name"].as_str().expect("a name").to_owned();
    let name = name.as_str();
    let run = |arguments: &[&str]| counts(&summary(&world.run(arguments).expect(0)));
    assert_eq!(run(&[name])["created"], 2);
    // The latest version runs, unless one is named; the file is not asked any more.
    first["fields"][1] = json!({"to": "Name", "template": "Kept {name}"});
    world.home.run(&["map", "save", &world.mapping(&first)]).expect(0);
    std::fs::remove_file(&file).expect("removed");
    let named = |begin: &str| {
        let rows = world.state("salesforce", "Account");
        rows.iter().filter(|row| row["Name"].as_str().is_some_and(|name| name.starts_with(begin))).count()
    };
    assert_eq!((&run(&[name])["updated"], named("Kept ")), (&json!(2), 2));
    assert_eq!((&run(&[&format!("{name}@1")])["updated"], named("Kept ")), (&json!(2), 0));
    assert_eq!(world.latest()["mapping"], name);
    world.run(&["accounts-to-salesforc"]).expect(2).says("accounts-to-salesforce");
}

#[test]
fn missing_null_and_value_stay_apart_from_the_source_to_the_wire() {
    let world = World::new(&[]);
    let mut mapping = super::salesforce_to_dynamics();
    mapping["source"]["query"] = json!({"limit": 1});
    mapping["fields"].as_array_mut().expect("rules").push(json!({"to": "telephone1", "from": "Phone"}));
    let file = world.mapping(&mapping);
    let row = |key: &str, phone: Option<Value>| {
        let mut row = json!({"@key": key, "Id": key, "Name": key});
        if let Some(phone) = phone {
            row["Phone"] = phone;
        }
        format!("{row}\n")
    };
    let given = |rows: [String; 3]| {
        let rows = world.home.write("rows.ndjson", rows.concat());
        counts(&summary(&world.run(&[&file, "--rows", &rows]).expect(0)))
    };
    assert_eq!(given(["K1", "K2", "K3"].map(|key| row(key, Some(json!("before")))))["created"], 3);
    world.emulator.control("DELETE", "requests", &Value::Null);
    let second = [row("K1", Some(json!("now"))), row("K2", Some(Value::Null)), row("K3", None)];
    assert_eq!(given(second)["updated"], 3);
    let sent = world.emulator.control("GET", "requests?method=POST", &Value::Null).to_string();
    let about = |key: &str| sent.contains(key);
    assert!(["K1", "K2", "K3"].into_iter().all(about));
    assert_eq!(sent.matches("telephone1").count(), 2, "what is missing is not sent: {sent}");
    let stored = rows(&world, "dynamics", "account", "/accountnumber");
    let phones = ["K1", "K2", "K3"].map(|key| stored[key]["telephone1"].clone());
    assert_eq!(phones, [json!("now"), Value::Null, json!("before")]);
}
