//! Every dependency's licence is on the allow-list of `deny.toml`, and banned crates are absent.

use std::process::Command;

use serde_json::Value;

#[test]
fn every_dependency_has_an_allowed_licence_and_none_is_banned() {
    let root = env!("CARGO_MANIFEST_DIR");
    let policy: toml::Table =
        toml::from_str(&std::fs::read_to_string(format!("{root}/deny.toml")).unwrap()).unwrap();
    let allowed: Vec<spdx::Licensee> = policy["licenses"]["allow"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| spdx::Licensee::parse(name.as_str().unwrap()).unwrap())
        .collect();
    let banned: Vec<&str> =
        policy["bans"]["deny"].as_array().unwrap().iter().filter_map(|ban| ban["crate"].as_str()).collect();

    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(format!("{root}/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "the metadata lists the whole tree");

    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        if banned.contains(&name) {
            wrong.push(format!("{name} is banned"));
        }
        let Some(licence) = package["license"].as_str() else {
            wrong.push(format!("{name} states no licence"));
            continue;
        };
        let fits = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX).is_ok_and(|expression| {
            expression.evaluate(|need| allowed.iter().any(|have| have.satisfies(need)))
        });
        if !fits {
            wrong.push(format!("{name}: {licence}"));
        }
    }
    assert!(wrong.is_empty(), "not allowed by deny.toml:\n{}", wrong.join("\n"));
}
