//! `recordport demo`: the whole road on an emulated service. Every step is a command line that anybody can
//! type; it runs through the same code and its output is that command's own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use serde_json::Value as Json;

use super::args::{self, Cli, Command};
use super::authorize::Browser;
use super::output::{Done, note};
use super::{Session, connect};
use crate::connect::sqlite::StoreSettings;
use crate::emulator::faults::Rule;
use crate::emulator::{Emulator, EmulatorConfig};
use crate::error::{Error, Position, Result};
use crate::record::{Key, KeyFields};
use crate::workspace::{LOOPBACK_CA, Workspace};

/// Name of the connection that the demo makes.
const CONNECTION: &str = "demo";
/// Name of its connection to Dynamics 365.
const DYNAMICS: &str = "erp";
/// Name of its connection to Jira.
const JIRA: &str = "work";
/// Name of its connection to Dropbox.
const DROPBOX: &str = "files";
/// Name of its connection to Google Calendar.
const CALENDAR: &str = "diary";

/// Shows the road; with `--once` without anybody's help.
pub(crate) async fn run(session: &mut Session, args: args::Demo) -> Done {
    let emulator =
        Emulator::start(EmulatorConfig { listen: args.listen, seed: args.seed, ..EmulatorConfig::default() })
            .await?;
    let faults = args.faults.as_deref().map(fault_rules).transpose()?.unwrap_or_default();
    // Without a home of its own the demo leaves nothing behind.
    let home = match &session.home {
        Some(home) => DemoHome { path: home.clone(), temporary: false },
        None => DemoHome::temporary(),
    };
    session.home = Some(home.path.clone());
    if home.temporary {
        // A key in the system's keyring would outlive the home that it is for.
        let mut settings = StoreSettings::from_environment();
        settings.keys.keyring = false;
        session.workspace = Some(Workspace::open_with(&home.path, settings).await?);
    }
    let mut demo = Demo { session, emulator, faults, once: args.once, no_browser: args.no_browser };
    let code = demo.road().await?;
    if code != 0 || args.once {
        return Ok(code);
    }
    note(&format!(
        "\nGo on by hand in another terminal, with the emulator at {} until Ctrl-C here:\n\n  \
         export RECORDPORT_HOME='{}'\n  recordport search {CONNECTION} Account --limit 3\n  \
         recordport schema show {CONNECTION} Opportunity --for create\n\n\
         TLS is at {} ({LOOPBACK_CA}={}).",
        demo.emulator.http_url(),
        home.path.display(),
        demo.emulator.https_url(),
        demo.emulator.ca_file().display(),
    ));
    let code = demo.session.signals.wait().await;
    demo.emulator.shutdown().await;
    Ok(code)
}

struct Demo<'a> {
    session: &'a mut Session,
    emulator: Emulator,
    faults: Vec<Rule>,
    once: bool,
    no_browser: bool,
}

impl Demo<'_> {
    /// All steps; the first that fails ends the demo with its exit code.
    async fn road(&mut self) -> Done {
        let url = self.emulator.http_url();
        let code = self.connect(&["connect", "salesforce", CONNECTION, "--emulator", &url]).await?;
        if code != 0 {
            return Ok(code);
        }
        for rule in std::mem::take(&mut self.faults) {
            self.emulator
                .faults()
                .add(rule)
                .map_err(|reason| Error::invalid(format!("a fault rule: {reason}")))?;
        }
        let condition = "Email IS NOT NULL AND (Account.Industry IN ('Technology', 'Energy', 'Banking') OR LastName \
                         LIKE '%e%')";
        let select = "Id,FirstName,LastName,Email,Account.Name";
        let looking: [&[&str]; 5] = [
            &["connections", "test", CONNECTION],
            &["types", CONNECTION, "--search", "co"],
            &["schema", "show", CONNECTION, "Contact", "--for", "create", "--annotations", "none"],
            &["search", CONNECTION, "Contact", "--where", condition, "--select", select, "--explain"],
            &[
                "search",
                CONNECTION,
                "Contact",
                "--where",
                condition,
                "--select",
                select,
                "--order-by",
                "LastName",
                "--limit",
                "5",
            ],
        ];
        for words in looking {
            let (code, _) = self.step(words, None).await?;
            if code != 0 {
                return Ok(code);
            }
        }
        let code = self.write(select).await?;
        if code != 0 {
            return Ok(code);
        }
        let code = self.dynamics(&url).await?;
        if code != 0 {
            return Ok(code);
        }
        let code = self.jira(&url).await?;
        if code != 0 {
            return Ok(code);
        }
        let code = self.dropbox(&url).await?;
        if code != 0 {
            return Ok(code);
        }
        self.calendar(&url).await
    }

    /// And at one that has files.
    async fn dropbox(&mut self, url: &str) -> Done {
        let code = self.connect(&["connect", "dropbox", DROPBOX, "--emulator", url]).await?;
        if code != 0 {
            return Ok(code);
        }
        let condition = "parent_path = '/Reports/2022' AND size > 1000";
        let search = ["search", DROPBOX, "file", "--where", condition, "--select", "path,size,content_hash"];
        let explain = [&search[..], &["--explain"]].concat();
        let limited = [&search[..], &["--limit", "3"]].concat();
        let looking: [&[&str]; 4] =
            [&["connections", "test", DROPBOX], &["types", DROPBOX, "--in", "/Reports"], &explain, &limited];
        for words in looking {
            let (code, _) = self.step(words, None).await?;
            if code != 0 {
                return Ok(code);
            }
        }
        Ok(0)
    }

    /// And at one whose records have no fields of the user's, but take place.
    async fn calendar(&mut self, url: &str) -> Done {
        let code = self.connect(&["connect", "google-calendar", CALENDAR, "--emulator", url]).await?;
        if code != 0 {
            return Ok(code);
        }
        let condition = "start.dateTime >= '2026-01-01T00:00:00Z' AND start.dateTime < '2026-03-01T00:00:00Z' AND summary \
                         LIKE 'Week%'";
        let search = [
            "search",
            CALENDAR,
            "event_instance:primary",
            "--where",
            condition,
            "--select",
            "summary,start,end,recurringEventId",
        ];
        let explain = [&search[..], &["--explain"]].concat();
        let limited = [&search[..], &["--limit", "3"]].concat();
        let looking: [&[&str]; 3] = [&["connections", "test", CALENDAR], &explain, &limited];
        for words in looking {
            let (code, _) = self.step(words, None).await?;
            if code != 0 {
                return Ok(code);
            }
        }
        Ok(0)
    }

    /// And at one whose types are projects' own.
    async fn jira(&mut self, url: &str) -> Done {
        let code = self.connect(&["connect", "jira", JIRA, "--emulator", url]).await?;
        if code != 0 {
            return Ok(code);
        }
        let condition = "priority IN ('1', '2') AND created >= '2025-06-01T00:00:00Z'";
        let search = [
            "search",
            JIRA,
            "issue:OPS/Bug",
            "--where",
            condition,
            "--select",
            "key,summary,status,description",
        ];
        let explain = [&search[..], &["--explain"]].concat();
        let limited = [&search[..], &["--limit", "3"]].concat();
        let looking: [&[&str]; 5] = [
            &["connections", "test", JIRA],
            &["types", JIRA, "--in", "OPS"],
            &["schema", "show", JIRA, "issue:OPS/Bug", "--for", "create", "--annotations", "none"],
            &explain,
            &limited,
        ];
        for words in looking {
            let (code, _) = self.step(words, None).await?;
            if code != 0 {
                return Ok(code);
            }
        }
        Ok(0)
    }

    /// The same road at the next provider.
    async fn dynamics(&mut self, url: &str) -> Done {
        let code = self.connect(&["connect", "dynamics", DYNAMICS, "--emulator", url]).await?;
        if code != 0 {
            return Ok(code);
        }
        let condition = "emailaddress1 IS NOT NULL AND (gendercode IN (1, 2) OR lastname LIKE '%e%')";
        let select =
            "fullname,emailaddress1,parentcustomerid,parentcustomerid_type,parentcustomerid_account.name";
        let search = ["search", DYNAMICS, "contact", "--where", condition, "--select", select];
        let explain = [&search[..], &["--explain"]].concat();
        let ordered = [&search[..], &["--order-by", "lastname", "--limit", "5"]].concat();
        let looking: [&[&str]; 5] = [
            &["connections", "test", DYNAMICS],
            &["types", DYNAMICS, "--search", "invoice"],
            &["schema", "show", DYNAMICS, "new_invoice", "--for", "create", "--annotations", "none"],
            &explain,
            &ordered,
        ];
        for words in looking {
            let (code, _) = self.step(words, None).await?;
            if code != 0 {
                return Ok(code);
            }
        }
        let row = "{\"new_name\":\"Demo 1\",\"new_quantity\":3,\"new_amount\":12.50,\"new_tags\":[1,2]}\n";
        let (code, printed) = self.step(&["create", DYNAMICS, "new_invoice"], Some(row.to_owned())).await?;
        if code != 0 {
            return Ok(code);
        }
        let keys = keys(&printed)?;
        let mut get = vec![
            "get",
            DYNAMICS,
            "new_invoice",
            "--select",
            "new_name,new_amount,new_tags,statuscode_formatted",
        ];
        get.extend(keys.iter().map(String::as_str));
        let mut delete = vec!["delete", DYNAMICS, "new_invoice"];
        delete.extend(keys.iter().map(String::as_str));
        for words in [&get[..], &delete[..]] {
            let (code, _) = self.step(words, None).await?;
            if code != 0 {
                return Ok(code);
            }
        }
        Ok(0)
    }

    /// Creates, updates and deletes, each step with the keys that the one before printed.
    async fn write(&mut self, select: &str) -> Done {
        let rows = "{\"LastName\":\"Moreau\",\"FirstName\":\"Inès\",\"Email\":\"ines.moreau@example.com\"}\n\
                    {\"LastName\":\"Okafor\",\"FirstName\":\"Chidi\",\"Title\":\"Head of Purchasing\"}\n";
        let (code, printed) = self.step(&["create", CONNECTION, "Contact"], Some(rows.to_owned())).await?;
        if code != 0 {
            return Ok(code);
        }
        let keys = keys(&printed)?;
        let changes: String = keys
            .iter()
            .map(|key| format!("{{\"@key\":\"{key}\",\"Title\":\"Buyer\",\"Email\":null}}\n"))
            .collect();
        let (code, _) = self.step(&["update", CONNECTION, "Contact"], Some(changes)).await?;
        if code != 0 {
            return Ok(code);
        }
        let mut get = vec!["get", CONNECTION, "Contact", "--select", select];
        get.extend(keys.iter().map(String::as_str));
        let mut delete = vec!["delete", CONNECTION, "Contact"];
        delete.extend(keys.iter().map(String::as_str));
        let gone = "LastName IN ('Moreau', 'Okafor') AND Title = 'Buyer'";
        let count = ["search", CONNECTION, "Contact", "--where", gone, "--count"];
        for words in [&get[..], &delete[..], &count[..]] {
            let (code, _) = self.step(words, None).await?;
            if code != 0 {
                return Ok(code);
            }
        }
        Ok(0)
    }

    /// The first step, in which somebody has to say yes.
    async fn connect(&mut self, words: &[&str]) -> Done {
        self.prompt(words, None)?;
        let Command::Connect(args) = parse(words)?.command else {
            return Err(Error::bug("the demo's first step does not connect").into());
        };
        let browser = match (self.once, self.no_browser) {
            (true, _) => Browser::Play,
            (false, true) => Browser::Print,
            (false, false) => Browser::Open,
        };
        let done = Box::pin(connect::connect(self.session, args, browser)).await;
        self.session.out.flush()?;
        done
    }

    /// One command line; its exit code and what it printed.
    async fn step(&mut self, words: &[&str], input: Option<String>) -> Done<(u8, Vec<u8>)> {
        self.prompt(words, input.as_deref())?;
        let cli = parse(words)?;
        let rows = input.unwrap_or_default().into_bytes();
        let stdin = std::mem::replace(&mut self.session.input, Box::new(std::io::Cursor::new(rows)));
        self.session.out.record();
        let done = Box::pin(super::execute(self.session, cli.command)).await;
        let printed = self.session.out.recorded();
        self.session.input = stdin;
        self.session.out.flush()?;
        done.map(|code| (code, printed))
    }

    /// Shows the command line as it could be typed. It is not data, so it goes to stderr.
    fn prompt(&mut self, words: &[&str], input: Option<&str>) -> Done<()> {
        self.session.signals.check()?;
        self.session.out.flush()?;
        let line: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let piped = input.map(|rows| {
            format!("printf '%s\\n' {} | ", rows.lines().map(quoted).collect::<Vec<_>>().join(" "))
        });
        note(&format!("\n$ {}recordport {}", piped.unwrap_or_default(), line.join(" ")));
        Ok(())
    }
}

fn parse(words: &[&str]) -> Result<Cli> {
    let line = std::iter::once(OsString::from("recordport")).chain(words.iter().map(OsString::from));
    Cli::try_parse_from(line)
        .map_err(|error| Error::bug(format!("a step of the demo cannot be read: {error}")))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The keys in the outcomes that a writing command printed, in whichever format.
fn keys(printed: &[u8]) -> Result<Vec<String>> {
    let text = String::from_utf8_lossy(printed);
    let keys: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let line = line.trim_end_matches(',');
            match serde_json::from_str::<Json>(line) {
                Ok(outcome) => {
                    Key::from_json(&outcome["key"], &KeyFields::single("Id")).ok().map(|key| key.to_string())
                }
                // The table form: row, status, key.
                Err(_) => line.split_whitespace().nth(2).map(str::to_owned),
            }
        })
        .collect();
    if keys.is_empty() { Err(Error::bug("the demo found no keys to go on with")) } else { Ok(keys) }
}

/// Fault rules from a file: a JSON array, or one rule.
fn fault_rules(path: &Path) -> Result<Vec<Rule>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::invalid(format!("cannot read {}: {error}", path.display())))?;
    let wrong = |error: serde_json::Error| {
        Error::invalid(format!("{} holds no fault rules: {error}", path.display()))
            .with_position(Position::Text { line: error.line() as u64, column: error.column() as u64 })
    };
    if text.trim_start().starts_with('[') {
        serde_json::from_str(&text).map_err(wrong)
    } else {
        serde_json::from_str(&text).map(|rule| vec![rule]).map_err(wrong)
    }
}

/// Where the demo keeps its connection.
struct DemoHome {
    path: PathBuf,
    temporary: bool,
}

impl DemoHome {
    fn temporary() -> Self {
        let name = format!("recordport-demo-{}", uuid::Uuid::new_v4().simple());
        Self { path: std::env::temp_dir().join(name), temporary: true }
    }
}

impl Drop for DemoHome {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is private, and goes with the system's other temporary files.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
