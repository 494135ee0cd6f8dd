//! `recordport connect`: a new connection, from the disclosure to the first answer.

use std::io::IsTerminal as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value as Json, json};
use url::Url;

use super::Session;
use super::args;
use super::authorize::{self, Browser, control, missing};
use super::output::{Done, note};
use crate::connect::connection::{Connection, ConnectionName, Secrets};
use crate::connect::disclosure::Disclosure;
use crate::connect::flows::jwt::KeyFile;
use crate::connect::sign_in::{AccessMode, GrantKind, RedirectRule, SignIn};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{OpenSetting, OptionItem, ProviderFactory};
use crate::workspace::{Use, Workspace, check_endpoint, configuration};

/// Settings that name the user of a connection.
const USER_SETTINGS: [&str; 2] = ["username", "email"];

/// Connects and keeps the connection.
pub(crate) async fn run(session: &mut Session, args: args::Connect) -> Done {
    let browser = if args.no_browser { Browser::Print } else { Browser::Open };
    connect(session, args, browser).await
}

/// Connects with this browser.
pub(crate) async fn connect(session: &mut Session, args: args::Connect, browser: Browser) -> Done {
    let factory = crate::providers::find(&args.provider)?;
    let name = ConnectionName::new(args.name.as_str())?;
    let workspace = session.workspace().await?;
    refuse_taken(&workspace, &name).await?;
    let given = match &args.emulator {
        Some(emulator) => published(&workspace, emulator, factory).await?,
        None => Json::Null,
    };
    let endpoint = args.emulator.clone().or_else(|| args.endpoint.clone());
    if let Some(endpoint) = &endpoint {
        check_endpoint(endpoint)?;
    }
    let access: AccessMode = args.access.into();
    let mut connection = describe(factory, name, &args, endpoint, &given, workspace.clock().now())?;
    let sign_in = factory.sign_in(&connection.config, connection.endpoint.as_ref())?;
    let (secrets, pasted) = secrets(session, &args, connection.grant, &given).await?;
    if connection.scopes_requested.is_empty() {
        let scopes = sign_in.scopes_of(connection.grant, access);
        connection.scopes_requested = scopes.into_iter().map(|scope| scope.name.clone()).collect();
    }
    if connection.client_id.is_none() && !matches!(connection.grant, GrantKind::Token | GrantKind::Basic) {
        return Err(Error::invalid(format!(
            "{} needs the id of your own OAuth client",
            factory.info().label
        ))
        .with_advice(format!(
            "Make one (see `recordport providers {}`) and give it with --client-id",
            factory.info().name
        ))
        .into());
    }
    let disclosure = Disclosure::new(
        &sign_in,
        access,
        connection.grant,
        &connection.scopes_requested,
        redirect_text(&connection, &sign_in, args.emulator.is_some()).as_deref(),
        workspace.store().place(),
    );
    note(&disclosure.to_string());
    let emulator = args.emulator.as_ref();
    let tokens =
        authorize::tokens(session, &workspace, &connection, &secrets, pasted.as_ref(), (browser, emulator))
            .await?;
    connection.authorized = Some(workspace.clock().now());
    if let Some(tokens) = &tokens {
        connection.scopes_granted.clone_from(&tokens.scopes);
    }
    workspace.store().put(&connection, &secrets, tokens.as_ref()).await?;
    if let Some(open) = open_setting(session, &workspace, &connection).await? {
        let Some(value) = chosen(session, &open).await? else {
            // It would be of no use, and its name is wanted for the next attempt.
            workspace.store().remove(&connection.id).await?;
            return Err(undecided(&open).into());
        };
        connection.config[open.name] = value;
        workspace.store().put(&connection, &secrets, tokens.as_ref()).await?;
    }
    greet(session, &workspace, connection).await
}

/// What the user has to decide before the connection is of use.
async fn open_setting(
    session: &mut Session,
    workspace: &Workspace,
    connection: &Connection,
) -> Done<Option<OpenSetting>> {
    let connected = workspace.ready(connection.clone(), Use::default())?;
    let asking = connected.provider.open_setting(&connected.context);
    // What goes wrong here goes wrong with the provider's first question too, and is told there.
    Ok(session.signals.or_stop(asking).await?.unwrap_or_default())
}

/// The value that the user chooses; `None` when nobody is there to choose.
async fn chosen(session: &mut Session, open: &OpenSetting) -> Done<Option<Json>> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let list: Vec<String> =
        (1..).zip(&open.choices).map(|(at, choice)| format!("  {at}  {}", told(choice))).collect();
    note(&format!("{}. Choose one by its number:\n{}", open.question, list.join("\n")));
    let line = authorize::read_line(session).await?;
    let number = line.and_then(|line| line.expose_secret().parse::<usize>().ok());
    let choice = number.and_then(|number| open.choices.get(number.checked_sub(1)?));
    Ok(choice.map(|choice| choice.value.clone()))
}

fn told(choice: &OptionItem) -> String {
    let value = choice.value.as_str().map_or_else(|| choice.value.to_string(), str::to_owned);
    format!("{} ({value})", choice.label)
}

fn undecided(open: &OpenSetting) -> Error {
    let list: Vec<String> = open.choices.iter().map(told).collect();
    Error::invalid(format!("{}: {}", open.question, list.join(", ")))
        .with_code("choose_setting")
        .with_field(open.name, "one of these has to be chosen")
        .with_advice(format!("Connect again and choose one with --set {}=", open.name))
}

/// The redirect address that must be registered, as far as it is known before the sign-in begins.
fn redirect_text(connection: &Connection, sign_in: &SignIn, emulated: bool) -> Option<String> {
    // The emulator is told the address by ourselves.
    if connection.grant != GrantKind::Code || emulated {
        return None;
    }
    connection.redirect_uri.clone().or_else(|| {
        Some(match &sign_in.redirect {
            RedirectRule::LoopbackAnyPort => "http://127.0.0.1/callback (any port)".to_owned(),
            RedirectRule::LocalhostAnyPort => "http://localhost/callback (any port)".to_owned(),
            RedirectRule::LocalhostFixed { port } => format!("http://localhost:{port}/callback"),
        })
    })
}

/// Asks the provider its first question and says how it went.
pub(crate) async fn greet(session: &mut Session, workspace: &Workspace, mut connection: Connection) -> Done {
    let connected = workspace.ready(connection.clone(), Use::default())?;
    let probing = connected.provider.probe(&connected.context);
    let probe = match session.signals.or_stop(probing).await? {
        Ok(probe) => probe,
        Err(error) => {
            let advice = format!(
                "The connection is kept: `recordport connections test {0}` examines it, `recordport connections remove \
                 {0}` removes it",
                connection.name
            );
            return Err(error.with_advice(advice).into());
        }
    };
    if probe.account.is_some() && probe.account != connection.account {
        connection.account.clone_from(&probe.account);
        workspace.store().describe(&connection).await?;
    }
    for notice in connected.tokens.take_notices() {
        note(&format!("note: {notice}"));
    }
    let summary = json!({
        "name": connection.name, "provider": connection.provider, "account": connection.account,
        "access": connection.access, "grant": connection.grant,
    });
    let format = session.format();
    super::output::list(
        &mut session.out,
        format,
        &["name", "provider", "account", "access", "grant"],
        &[summary],
    )?;
    Ok(0)
}

async fn refuse_taken(workspace: &Workspace, name: &ConnectionName) -> Result<()> {
    match workspace.store().connection(name).await {
        Ok(taken) => Err(Error::new(
            ErrorKind::Invalid,
            format!("there is a connection {} already", taken.name),
        )
        .with_advice(format!(
            "Choose another name, or `recordport connections authorize {0}` to sign in again, or `recordport \
                 connections remove {0}`",
            taken.name
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a running emulator publishes for this provider.
async fn published(workspace: &Workspace, emulator: &Url, factory: &dyn ProviderFactory) -> Result<Json> {
    check_endpoint(emulator)?;
    let all = control(workspace.wire(), emulator, "/_emulator/credentials", None).await?;
    // Some faces wrap the services, some do not.
    let all = all.get("credentials").unwrap_or(&all);
    all.get(factory.info().name).cloned().ok_or_else(|| {
        Error::unsupported(format!("the emulator at {emulator} does not emulate {}", factory.info().label))
    })
}

fn describe(
    factory: &dyn ProviderFactory,
    name: ConnectionName,
    args: &args::Connect,
    endpoint: Option<Url>,
    given: &Json,
    now: jiff::Timestamp,
) -> Result<Connection> {
    let mut settings = args.settings.clone();
    let published = |what: &str| given[what].as_str().map(str::to_owned);
    let schema = factory.config_schema();
    let grant = grant(factory, args, endpoint.as_ref(), &settings)?;
    let user = USER_SETTINGS.into_iter().find(|name| schema["properties"].get(*name).is_some());
    if matches!(grant, GrantKind::Jwt | GrantKind::Basic)
        && let Some(user) = user
        && !settings.iter().any(|(name, _)| name == user)
        && let Some(username) = published(user)
    {
        settings.push((user.to_owned(), username));
    }
    let config = configuration(factory, &settings)?;
    let mut connection = Connection::new(name, factory.info().name, args.access.into(), grant, now);
    connection.username = user.and_then(|user| config[user].as_str()).map(str::to_owned);
    if let (GrantKind::Basic, None, Some(user)) = (grant, &connection.username, user) {
        return Err(Error::invalid("this grant needs the user's name")
            .with_field(user, "it is missing")
            .with_advice(format!("Give it with --set {user}=")));
    }
    connection.config = config;
    connection.endpoint = endpoint;
    connection.client_id =
        args.client_id.clone().filter(|_| given.is_null()).or_else(|| published("client_id"));
    if grant == GrantKind::Jwt
        && let Some(own) = signing_key(args, given)?.and_then(|key| key.client_id)
    {
        connection.client_id = Some(own);
    }
    connection.redirect_uri.clone_from(&args.redirect_uri);
    connection.scopes_requested =
        args.scopes.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
    Ok(connection)
}

/// The grant asked for, which the provider must know; else what the flags imply, else its preferred one.
fn grant(
    factory: &dyn ProviderFactory,
    args: &args::Connect,
    endpoint: Option<&Url>,
    settings: &[(String, String)],
) -> Result<GrantKind> {
    let config = configuration(factory, settings)?;
    let known = factory.sign_in(&config, endpoint)?.grants;
    let word = |grant: &GrantKind| json!(grant).as_str().unwrap_or_default().to_owned();
    let wanted = match args.grant {
        Some(grant) => Some(GrantKind::from(grant)),
        None if args.token_stdin => {
            known.iter().copied().find(|grant| matches!(grant, GrantKind::Token | GrantKind::Basic))
        }
        None if args.key_file.is_some() => Some(GrantKind::Jwt),
        None => known.first().copied(),
    };
    match wanted {
        Some(wanted) if known.contains(&wanted) => Ok(wanted),
        _ => Err(Error::unsupported(format!("{} has no such grant", factory.info().label))
            .with_advice(format!("It has: {}", known.iter().map(word).collect::<Vec<_>>().join(", ")))),
    }
}

/// Secrets from stdin, files and the environment; for an emulator also those that it publishes.
async fn secrets(
    session: &mut Session,
    args: &args::Connect,
    grant: GrantKind,
    given: &Json,
) -> Done<(Secrets, Option<SecretString>)> {
    let published = |what: &str| given[what].as_str().map(SecretString::from);
    let mut secrets = Secrets::default();
    let mut pasted = None;
    if args.client_secret_stdin {
        let line = authorize::read_line(session).await?;
        secrets.client_secret = Some(line.ok_or_else(|| Error::invalid("stdin holds no client secret"))?);
    } else {
        secrets.client_secret =
            from_environment("RECORDPORT_CLIENT_SECRET").or_else(|| published("client_secret"));
    }
    if matches!(grant, GrantKind::Token | GrantKind::Basic) {
        let token = if args.token_stdin {
            let line = authorize::read_line(session).await?;
            Some(line.ok_or_else(|| Error::invalid("stdin holds no token"))?)
        } else {
            from_environment("RECORDPORT_TOKEN")
                .or_else(|| published("api_token").filter(|_| grant == GrantKind::Basic))
                .or_else(|| published("access_token"))
        };
        let token = token.ok_or_else(|| missing("a token", "--token-stdin", "RECORDPORT_TOKEN"))?;
        if grant == GrantKind::Basic {
            secrets.password = Some(token);
        } else {
            pasted = Some(token);
        }
    }
    if grant == GrantKind::Jwt {
        let key = signing_key(args, given)?.ok_or_else(|| {
            Error::invalid("the JWT grant needs a private key").with_advice("Give its file with --key-file")
        })?;
        crate::connect::flows::jwt::check_key(&key.pem)?;
        secrets.private_key = Some(key.pem);
    }
    Ok((secrets, pasted))
}

pub(crate) fn from_environment(name: &str) -> Option<SecretString> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(SecretString::from)
}

/// The key of a JWT grant: from the file that was named, or from one that the emulator publishes.
fn signing_key(args: &args::Connect, given: &Json) -> Result<Option<KeyFile>> {
    let published = ["private_key_file", "service_account_file"];
    let published = published.into_iter().find_map(|name| given[name].as_str());
    let path = args.key_file.clone().or_else(|| published.map(Into::into));
    path.map(|path| KeyFile::read(key_file(&path)?)).transpose()
}

fn key_file(path: &Path) -> Result<SecretString> {
    let unreadable = |error: std::io::Error| {
        Error::invalid(format!("cannot read the key file {}: {error}", path.display()))
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::local(format!(
                "the key file {} is open to other users (mode {mode:04o})",
                path.display()
            ))
            .with_advice(format!("Run: chmod 600 '{}'", path.display())));
        }
    }
    std::fs::read_to_string(path).map(SecretString::from).map_err(unreadable)
}
