//! Suggested rules between types of the emulated services, against answers made by hand.

use std::fmt::Write as _;
use std::path::Path;

use recordport::mapping::document::Operation;
use recordport::mapping::suggest::suggest;
use recordport::record::{RecordType, TypeName};
use serde_json::json;

use super::{compiled_between, document};
use crate::schemas::types_that;

/// Two types and what a person would map: `target<source`.
const ANSWERS: [(&str, &str, &str); 18] = [
    (
        "salesforce Contact",
        "dynamics contact",
        "firstname<FirstName lastname<LastName jobtitle<Title emailaddress1<Email telephone1<Phone \
         mobilephone<MobilePhone birthdate<Birthdate address1_city<MailingCity address1_country<MailingCountry \
         description<Description donotphone<DoNotCall",
    ),
    (
        "dynamics contact",
        "salesforce Contact",
        "FirstName<firstname LastName<lastname Title<jobtitle Email<emailaddress1 Phone<telephone1 \
         MobilePhone<mobilephone Birthdate<birthdate MailingCity<address1_city MailingCountry<address1_country \
         Description<description DoNotCall<donotphone",
    ),
    (
        "salesforce Account",
        "dynamics account",
        "name<Name accountnumber<AccountNumber industrycode<Industry revenue<AnnualRevenue \
         numberofemployees<NumberOfEmployees address1_line1<BillingStreet address1_city<BillingCity \
         address1_postalcode<BillingPostalCode address1_country<BillingCountry address1_latitude<BillingLatitude \
         address1_longitude<BillingLongitude telephone1<Phone websiteurl<Website tickersymbol<TickerSymbol \
         description<Description",
    ),
    (
        "dynamics account",
        "salesforce Account",
        "Name<name AccountNumber<accountnumber Industry<industrycode AnnualRevenue<revenue \
         NumberOfEmployees<numberofemployees BillingStreet<address1_line1 BillingCity<address1_city \
         BillingPostalCode<address1_postalcode BillingCountry<address1_country BillingLatitude<address1_latitude \
         BillingLongitude<address1_longitude Phone<telephone1 Website<websiteurl TickerSymbol<tickersymbol \
         Description<description",
    ),
    (
        "salesforce Case",
        "dynamics incident",
        "title<Subject description<Description caseorigincode<Origin casetypecode<Type prioritycode<Priority \
         isescalated<IsEscalated ticketnumber<CaseNumber",
    ),
    (
        "dynamics incident",
        "salesforce Case",
        "Subject<title Description<description Origin<caseorigincode Type<casetypecode Priority<prioritycode \
         IsEscalated<isescalated",
    ),
    (
        "salesforce Opportunity",
        "dynamics opportunity",
        "name<Name estimatedvalue<Amount estimatedclosedate<CloseDate closeprobability<Probability \
         description<Description stepname<StageName",
    ),
    (
        "dynamics opportunity",
        "salesforce Opportunity",
        "Name<name Amount<estimatedvalue CloseDate<estimatedclosedate Probability<closeprobability \
         Description<description StageName<stepname",
    ),
    (
        "salesforce Lead",
        "dynamics contact",
        "firstname<FirstName lastname<LastName jobtitle<Title emailaddress1<Email telephone1<Phone \
         mobilephone<MobilePhone address1_city<City address1_country<Country description<Description",
    ),
    (
        "salesforce Contact",
        "salesforce Lead",
        "LastName<LastName FirstName<FirstName Salutation<Salutation Title<Title Phone<Phone \
         MobilePhone<MobilePhone Email<Email Description<Description LeadSource<LeadSource OwnerId<OwnerId \
         HasOptedOutOfEmail<HasOptedOutOfEmail Street<MailingStreet City<MailingCity State<MailingState \
         PostalCode<MailingPostalCode Country<MailingCountry Latitude<MailingLatitude \
         Longitude<MailingLongitude GeocodeAccuracy<MailingGeocodeAccuracy",
    ),
    (
        "jira issue:OPS/Bug",
        "salesforce Case",
        "Subject<summary Description<description Priority<priority Status<status",
    ),
    ("salesforce Case", "jira issue:OPS/Bug", "summary<Subject description<Description priority<Priority"),
    (
        "jira issue:OPS/Bug",
        "dynamics incident",
        "title<summary description<description prioritycode<priority severitycode<customfield_10020",
    ),
    ("salesforce Case", "google-calendar event", "summary<Subject description<Description"),
    (
        "google-calendar event",
        "jira issue:OPS/Bug",
        "summary<summary description<description customfield_10022<location",
    ),
    ("dropbox file", "salesforce Attachment", "Name<name"),
    ("dropbox file", "dynamics new_invoice", "new_name<name"),
    ("salesforce Attachment", "dropbox file", "path<Name"),
];

/// Whether there is an answer for a type.
fn is_answered(name: &TypeName) -> bool {
    let is = |side: &str| side.split(' ').nth(1) == Some(name.as_str());
    ANSWERS.iter().any(|(from, to, _)| is(from) || is(to))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suggested_is_what_a_person_would_map() {
    let mut types: Vec<(String, RecordType)> = Vec::new();
    for provider in ["salesforce", "dynamics", "jira", "google-calendar", "dropbox"] {
        for records in types_that(provider, is_answered).await {
            let record_type = records.record_type();
            types.push((format!("{provider} {}", record_type.name), RecordType::clone(record_type)));
        }
    }
    let find = |name: &str| &types.iter().find(|(known, _)| known == name).expect("a type").1;
    let (mut report, mut right, mut suggested, mut wanted) = (String::new(), 0, 0, 0);
    for (from, to, answer) in ANSWERS {
        let (source, target) = (find(from), find(to));
        let same = source.provider == target.provider;
        let found = suggest(source, target, Operation::Create, same);
        assert_eq!(found, suggest(source, target, Operation::Create, same), "the same again");
        let answer: Vec<&str> = answer.split(' ').collect();
        writeln!(report, "{from} to {to}").unwrap();
        for one in &found.suggestions {
            let pair = format!("{}<{}", one.to, one.from);
            let hit = answer.contains(&pair.as_str());
            right += usize::from(hit);
            let mark = if hit { ' ' } else { '?' };
            let steps = one.rule.steps.iter().flatten().map(|step| step.op()).collect::<Vec<_>>().join(",");
            writeln!(
                report,
                " {mark} {} < {} ({}) {} {steps}",
                one.to,
                one.from,
                one.score,
                one.reasons.join("; ")
            )
            .unwrap();
        }
        for missed in answer
            .iter()
            .filter(|pair| !found.suggestions.iter().any(|one| format!("{}<{}", one.to, one.from) == **pair))
        {
            writeln!(report, " - {missed}").unwrap();
        }
        writeln!(report, "   open: {}", found.open.join(", ")).unwrap();
        suggested += found.suggestions.len();
        wanted += answer.len();
    }
    let percent = |part: usize, whole: usize| 100 * part / whole.max(1);
    let (precision, recall) = (percent(right, suggested), percent(right, wanted));
    writeln!(report, "precision {precision} %, recall {recall} %").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/mapping");
    insta::with_settings!({snapshot_path => folder, prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("suggestions", report);
    });
    assert!(precision >= 85 && recall >= 85, "{report}");
}

#[test]
fn suggested_rules_go_through_the_check() {
    let able = super::able();
    let found = suggest(&able, &able, Operation::Create, true);
    let rules: Vec<_> = found.suggestions.iter().map(|one| &one.rule).collect();
    let mut mapping = document("create", json!(rules));
    mapping["source"]["connection"] = mapping["target"]["connection"].clone();
    let compiled = compiled_between(&mapping, &able, &able);
    assert!(compiled.program.is_some(), "{:#?}", compiled.problems);
    assert!(found.suggestions.iter().all(|one| one.to == one.from), "{:#?}", found.suggestions);
    assert!(found.open.is_empty());
}
