//! Runs whose process is killed at random instants, also between request and answer, and resumed: none of the rows is
//! lost, none is doubled.

use std::collections::BTreeMap;
use std::process::Stdio;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::{
    World, counts, dynamics_to_salesforce, salesforce_to_dynamics, salesforce_to_events, salesforce_to_files,
    salesforce_to_jira, salesforce_to_new_contacts, summary,
};

/// Deaths in one world: each leaves its rows there, through which the next one's are counted. A lost create of an issue is
/// looked for among those of the last minutes, of which a world must not have more than are looked through.
const SEEDS_OF_A_WORLD: usize = 2;

/// How a run dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// Behind the n-th write.
    Behind(u64),
    /// While the answer to the n-th write is awaited, which was done.
    Done(u64),
    /// While the answer to the n-th write is awaited, which was not done.
    Undone(u64),
    /// Once it has written to its journal so often.
    InJournal(u64),
}

/// A target that rows are written to.
struct Target {
    service: &'static str,
    /// The connection besides that of Salesforce.
    connection: &'static str,
    /// Method and glob of the requests that write.
    method: &'static str,
    path: &'static str,
    /// Rows that one of them carries.
    rows: u64,
}

impl Target {
    /// The death of a seed, in a run of so many rows.
    fn death(&self, seed: u64, rows: usize) -> Death {
        let mut random = StdRng::seed_from_u64(seed);
        let writes = (rows as u64).div_ceil(self.rows);
        let nth = random.random_range(1..=writes);
        match seed % 4 {
            0 => Death::Behind(nth),
            1 => Death::Done(nth),
            2 => Death::Undone(nth),
            _ => Death::InJournal(random.random_range(1..=writes * 2)),
        }
    }

    /// Starts a run, kills it, and resumes it until it has come to its end.
    fn die_and_go_on(&self, world: &World, arguments: &[&str], death: Death, before: Option<&str>) -> Value {
        let control = |method: &str, path: &str, body: &Value| world.emulator.control(method, path, body);
        control("DELETE", "requests", &Value::Null);
        let rule = |kind: &str, nth: u64, more: Value| {
            let mut rule = json!({"service": self.service, "method": self.method, "path": self.path, "kind": kind, "nth": nth});
            rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            control("POST", "faults", &rule);
        };
        match death {
            Death::Behind(_) | Death::InJournal(_) => {}
            Death::Done(nth) => rule("hang", nth, json!({"delay_ms": 60_000})),
            Death::Undone(nth) => rule("status", nth, json!({"status": 503, "delay_ms": 60_000})),
        }
        let mut command = world.home.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("starts");
        let journal = world.home.path().join("runs.db-wal");
        let length_of = || std::fs::metadata(&journal).map_or(0, |file| file.len());
        let mut last = (length_of(), 0);
        let reached = |last: &mut (u64, u64)| match death {
            Death::Behind(nth) => {
                let seen = control("GET", &format!("requests?method={}", self.method), &Value::Null);
                let service = |request: &Value| request["service"] == self.service;
                let fits = |request: &&Value| service(request) && self.writes_by(request);
                seen["requests"].as_array().expect("a list").iter().filter(fits).count() as u64 >= nth
            }
            Death::Done(_) | Death::Undone(_) => world.struck(),
            Death::InJournal(times) => {
                let length = length_of();
                if length != last.0 {
                    *last = (length, last.1 + 1);
                }
                last.1 > times
            }
        };
        while child.try_wait().expect("is ours").is_none() && !reached(&mut last) {
            // Looking without a pause would take the processor from those who are looked at.
            std::thread::park_timeout(std::time::Duration::from_millis(2));
        }
        child.kill().expect("is killed");
        child.wait().expect("ends");
        control("DELETE", "faults", &Value::Null);
        // Killed before anything was planned: there is no run yet, and the command is given again.
        let resumed = match world.latest_id().filter(|id| before != Some(id)) {
            Some(id) => world.run(&["--resume", &id]),
            None => world.home.run(arguments),
        };
        assert_eq!(resumed.code(), 0, "{death:?}: {resumed:#?}");
        let run = summary(&resumed);
        assert_eq!(run["state"], "finished", "{death:?}");
        run
    }

    fn writes_by(&self, request: &Value) -> bool {
        let part = self.path.trim_matches('*');
        request["path"].as_str().is_some_and(|path| path.contains(part))
    }
}

/// How often each value stands in a field of some rows.
fn tally(rows: &[Value], name: &str) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for value in rows.iter().filter_map(|row| row[name].as_str()) {
        *tally.entry(value.to_owned()).or_default() += 1;
    }
    tally
}

#[track_caller]
fn once_each(found: &BTreeMap<String, usize>, wanted: &BTreeMap<String, usize>, death: Death) {
    let lost: Vec<_> = wanted.keys().filter(|key| !found.contains_key(*key)).collect();
    let doubled: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    assert!(lost.is_empty(), "{death:?}: lost {lost:?}");
    assert!(doubled.is_empty(), "{death:?}: doubled {doubled:?}");
    assert_eq!(found.len(), wanted.len(), "{death:?}: nothing else is there");
}

/// How many deaths each target dies, and how much the data is multiplied; drills say more.
fn extent() -> (u64, String) {
    let said = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let deaths = said("SUITE_DRILLS").and_then(|text| text.parse().ok()).unwrap_or(5);
    (deaths, said("SUITE_DRILL_SCALE").unwrap_or_else(|| "2".to_owned()))
}

/// Kills and resumes one run for each seed. `mapping` gives what is run, and `find` the values that stand in the target
/// because of it, which must be those of `source`.
fn each_seed(
    target: &Target,
    source: impl Fn(&World) -> Vec<String>,
    mapping: impl Fn(&World, u64) -> Value,
    find: impl Fn(&World, u64) -> Vec<Value>,
) {
    let (deaths, scale) = extent();
    let seeds: Vec<u64> = (1..=deaths).collect();
    for seeds in seeds.chunks(SEEDS_OF_A_WORLD) {
        let world = World::of(&["--scale", &scale], &[target.connection]);
        let source: BTreeMap<String, usize> = source(&world).into_iter().map(|id| (id, 1)).collect();
        let mut before: Option<String> = None;
        for seed in seeds.iter().copied() {
            let file = world.mapping(&mapping(&world, seed));
            let death = target.death(seed, source.len());
            let run = target.die_and_go_on(&world, &["run", &file], death, before.as_deref());
            before = run["run"].as_str().map(str::to_owned);
            let counted = counts(&run);
            assert_eq!(
                (&counted["read"], &counted["failed"]),
                (&json!(source.len()), &json!(0)),
                "{death:?}"
            );
            once_each(&tally(&find(&world, seed), "key"), &source, death);
            tell(target, seed, death, &counted);
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figures of a drill")]
fn tell(target: &Target, seed: u64, death: Death, counted: &Value) {
    let of = |name: &str| counted[name].as_u64().unwrap_or(0);
    println!(
        "drill {} seed={seed} {death:?} read={} created={} updated={} unknown={}",
        target.service,
        of("read"),
        of("created"),
        of("updated"),
        of("unknown")
    );
}

/// Texts in a field of some rows.
fn texts(rows: &[Value], name: &str) -> Vec<String> {
    rows.iter().filter_map(|row| row[name].as_str().map(str::to_owned)).collect()
}

/// What follows a mark, of the texts that have it.
fn behind(texts: Vec<String>, mark: &str) -> Vec<Value> {
    texts.iter().filter_map(|text| text.strip_prefix(mark)).map(|key| json!({"key": key})).collect()
}

/// One letter for a seed: an account number has 20 characters, of which an id takes 18.
fn letter(seed: u64) -> char {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let at = usize::try_from(seed).unwrap_or_default() % LETTERS.len();
    char::from(LETTERS[at])
}

/// How many rows a slower target gets, unless the data is multiplied on purpose.
fn limit(usual: usize) -> usize {
    if extent().1 == "2" { usual } else { usize::MAX }
}

/// Ids of the first accounts of Salesforce.
fn first_accounts(world: &World, limit: usize) -> Vec<String> {
    let mut ids = texts(&world.part("salesforce", "Account", "Id"), "Id");
    ids.sort_unstable();
    ids.truncate(limit);
    ids
}

#[test]
fn fault_45_a_killed_run_into_google_calendar_loses_and_doubles_nothing() {
    let limit = limit(110);
    each_seed(
        &Target {
            service: "google-calendar",
            connection: "cal",
            method: "POST",
            path: "/batch/calendar/v3*",
            rows: 50,
        },
        |world| first_accounts(world, limit),
        |world, seed| {
            let calendars = world.state("google-calendar", "calendar");
            let calendar = calendars[0]["id"].as_str().expect("an id");
            let mut mapping = salesforce_to_events(limit.min(100_000) as u64, calendar);
            mapping["name"] = json!(format!("events-{seed}"));
            mapping["fields"][0] = json!({"to": "summary", "template": format!("{seed}/{{Id}}")});
            mapping
        },
        |world, seed| {
            behind(texts(&world.part("google-calendar", "event", "summary"), "summary"), &format!("{seed}/"))
        },
    );
}

#[test]
fn fault_45_a_killed_run_into_salesforce_loses_and_doubles_nothing() {
    each_seed(
        &Target {
            service: "salesforce",
            connection: "dv",
            method: "PATCH",
            path: "*/composite/*",
            rows: 200,
        },
        |world| texts(&world.part("dynamics", "account", "accountid"), "accountid"),
        |_, seed| {
            let mut mapping = dynamics_to_salesforce();
            mapping["fields"][0] =
                json!({"to": "Source_Key__c", "template": format!("{seed}/{{accountid}}")});
            mapping
        },
        |world, seed| {
            behind(
                texts(&world.part("salesforce", "Account", "Source_Key__c"), "Source_Key__c"),
                &format!("{seed}/"),
            )
        },
    );
}

#[test]
fn fault_45_a_killed_run_of_upserts_into_dynamics_loses_and_doubles_nothing() {
    each_seed(
        &Target { service: "dynamics", connection: "dv", method: "POST", path: "*/$batch*", rows: 100 },
        |world| texts(&world.part("salesforce", "Account", "Id"), "Id"),
        |_, seed| {
            let mut mapping = salesforce_to_dynamics();
            mapping["fields"][0] =
                json!({"to": "accountnumber", "template": format!("{}/{{Id}}", letter(seed))});
            mapping
        },
        |world, seed| {
            behind(
                texts(&world.part("dynamics", "account", "accountnumber"), "accountnumber"),
                &format!("{}/", letter(seed)),
            )
        },
    );
}

#[test]
fn fault_45_a_killed_run_of_creates_into_dynamics_loses_and_doubles_nothing() {
    each_seed(
        &Target { service: "dynamics", connection: "dv", method: "POST", path: "*/contacts*", rows: 100 },
        |world| texts(&world.part("salesforce", "Account", "Id"), "Id"),
        |_, seed| {
            let mut mapping = salesforce_to_new_contacts();
            mapping["name"] = json!(format!("contacts-{seed}"));
            mapping["fields"][1] = json!({"to": "description", "template": format!("{seed}/{{Id}}")});
            mapping
        },
        |world, seed| {
            behind(
                texts(&world.part("dynamics", "contact", "description"), "description"),
                &format!("{seed}/"),
            )
        },
    );
}

#[test]
fn fault_45_a_killed_run_into_dropbox_loses_and_doubles_nothing() {
    // Of the bytes that each file gets, as Dropbox hashes them.
    const CONTENT: &str = "7c53e79071e947f627bb9e052fa67f2460b4a84f7fbaef5503248f79f1cef4c2";
    let limit = limit(104);
    each_seed(
        &Target {
            service: "dropbox",
            connection: "box",
            method: "POST",
            path: "*/upload_session/finish_batch_v2",
            rows: 100,
        },
        |world| first_accounts(world, limit),
        |_, seed| {
            let mut mapping = salesforce_to_files(limit.min(100_000) as u64);
            mapping["name"] = json!(format!("files-{seed}"));
            mapping["fields"][0] = json!({"to": "path", "template": format!("/{seed}/{{Id}}.txt")});
            mapping
        },
        |world, seed| {
            let mut files = world.part("dropbox", "file", "path_display,content_hash");
            files.retain(|file| file["content_hash"] == CONTENT);
            let names: Vec<String> = texts(&files, "path_display")
                .iter()
                .filter_map(|path| Some(path.strip_suffix(".txt")?.to_owned()))
                .collect();
            behind(names, &format!("/{seed}/"))
        },
    );
}

#[test]
fn fault_45_a_killed_run_into_jira_loses_and_doubles_nothing() {
    let limit = limit(100);
    each_seed(
        &Target { service: "jira", connection: "jira", method: "POST", path: "*/issue/bulk", rows: 50 },
        |world| first_accounts(world, limit),
        |_, seed| {
            let mut mapping = salesforce_to_jira(limit.min(100_000) as u64);
            mapping["name"] = json!(format!("bugs-{seed}"));
            mapping["fields"][0] = json!({"to": "summary", "template": format!("{seed}/{{Id}}")});
            mapping
        },
        |world, seed| {
            let issues = world.part("jira", "issue", "fields.summary");
            let fields: Vec<Value> = issues.into_iter().map(|mut issue| issue["fields"].take()).collect();
            behind(texts(&fields, "summary"), &format!("{seed}/"))
        },
    );
}
