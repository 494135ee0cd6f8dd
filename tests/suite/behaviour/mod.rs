//! One suite over all providers: every case is a sentence, and runs for every record type whose capability
//! allows it. The matrix of cases and types is printed to standard error.

mod cases;
mod dropbox;
mod dynamics;
mod google_calendar;
mod jira;
mod salesforce;
mod subject;
mod values;

use std::io::Write as _;
use std::sync::Arc;

use subject::Subject;
pub(crate) use values::set;

/// Cases of upserts and feeds, which not every type has.
const BESIDES: [&str; 5] = [
    "upsert twice is one record",
    "changes reports created, updated, deleted",
    "a feed without progress repeats nothing",
    "a feed recovers from an expired checkpoint",
    "a feed refuses a checkpoint that is not its own",
];

/// How a case ended for one type.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Passed,
    /// The type's capability has nothing for this case.
    DoesNotApply,
    Failed(String),
}

/// Runs every case for every type of one provider, prints the matrix, and fails with all that went wrong.
async fn run(subject: Arc<Subject>) {
    let mut failures = Vec::new();
    let mut matrix = Vec::new();
    for case in cases::ALL {
        let mut row = Vec::new();
        for name in subject.types() {
            subject.calm().await;
            let task = tokio::spawn((case.run)(Arc::clone(&subject), name.clone()));
            let verdict = match task.await {
                Ok(true) => Verdict::Passed,
                Ok(false) => Verdict::DoesNotApply,
                Err(error) => Verdict::Failed(panic_text(error)),
            };
            if let Verdict::Failed(why) = &verdict {
                failures.push(format!("{} / {name}: {why}", case.sentence));
            }
            row.push(verdict);
        }
        matrix.push((case.sentence, row));
    }
    print(&subject, &matrix);
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    let applied = |row: &[Verdict]| row.contains(&Verdict::Passed);
    let idle: Vec<&str> =
        matrix.iter().filter(|(_, row)| !applied(row)).map(|(sentence, _)| *sentence).collect();
    assert_eq!(idle, subject.idle_cases(), "cases that ran for no type");
    for name in subject.core_types() {
        let at = subject.types().iter().position(|own| own.as_str() == *name).expect("a type of the suite");
        let skipped: Vec<&str> = matrix
            .iter()
            .filter(|(sentence, row)| row[at] == Verdict::DoesNotApply && !BESIDES.contains(sentence))
            .map(|(sentence, _)| *sentence)
            .collect();
        assert_eq!(skipped, [] as [&str; 0], "skipped for {name}");
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "panicked".to_owned()),
        Err(error) => error.to_string(),
    }
}

fn print(subject: &Subject, matrix: &[(&str, Vec<Verdict>)]) {
    let mut text = format!("\nbehaviour of {}\n", subject.provider_name());
    for (at, name) in subject.types().iter().enumerate() {
        text.push_str(&format!("{}{name}\n", " │".repeat(at)));
    }
    for (sentence, row) in matrix {
        for verdict in row {
            text.push_str(match verdict {
                Verdict::Passed => " ✓",
                Verdict::DoesNotApply => " ·",
                Verdict::Failed(_) => " ✗",
            });
        }
        text.push_str(&format!("  {sentence}\n"));
    }
    // Written to the stream itself: the test harness hides what print! writes.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
