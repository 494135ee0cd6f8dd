//! Dynamics 365 and other environments of Dataverse, by their Web API: tables are record types, described at
//! run time; queries are OData; writes go through `$batch`, each row an operation of its own.

mod api;
mod changes;
mod choices;
mod config;
mod content;
mod dialect;
mod discover;
mod judge;
mod keys;
mod links;
mod lookups;
mod metadata;
mod multiple;
mod odata;
mod paths;
mod query;
mod records;
mod rows;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::Value as Json;
use url::Url;

use crate::connect::sign_in::SignIn;
use crate::error::{Error, ErrorKind, Result};
use crate::http::dialect::Dialect;
use crate::provider::descriptions::{Description, Descriptions, Kept};
use crate::provider::{
    Context, OpenSetting, Probe, Provider, ProviderFactory, ProviderInfo, Records, TypePage, TypeQuery,
};
use crate::record::nearest::{did_you_mean, nearest_few};
use crate::record::schema::config_schema_for;
use crate::record::{RecordType, TypeName};

pub use config::DynamicsConfig;
pub use dialect::DynamicsDialect;

use discover::{TargetColumns, Wires};
use links::ManyToMany;
use metadata::{ATTRIBUTE_SELECT, Attribute, Definition, List, TABLE_SELECT, Table, cast_of, is_name};

static INFO: ProviderInfo = ProviderInfo {
    name: "dynamics",
    aliases: &["dataverse", "dynamics365"],
    label: "Dynamics 365",
    summary: "Standard and custom tables of a Dataverse environment, with OData filters and batches of 100 rows",
    docs: include_str!("docs.md"),
};

/// Makes providers of Dataverse environments.
#[derive(Debug, Clone, Copy)]
pub struct Dynamics;

impl ProviderFactory for Dynamics {
    fn info(&self) -> &ProviderInfo {
        &INFO
    }

    fn config_schema(&self) -> Json {
        config_schema_for::<DynamicsConfig>()
    }

    fn sign_in(&self, config: &Json, endpoint: Option<&Url>) -> Result<SignIn> {
        DynamicsConfig::parse(config)?.sign_in(endpoint)
    }

    fn quota_reserve(&self, _: &Json) -> Result<Option<u64>> {
        // The window is five minutes long and refusals name their pause: nothing has to be kept back.
        Ok(Some(0))
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(DynamicsDialect)
    }

    fn provider(&self, config: &Json) -> Result<Arc<dyn Provider>> {
        let config = DynamicsConfig::parse(config)?;
        Ok(Arc::new(DynamicsProvider { environment: Arc::new(Environment::new(config.version()?)) }))
    }
}

/// Dataverse on one connection.
#[derive(Debug)]
struct DynamicsProvider {
    environment: Arc<Environment>,
}

#[async_trait]
impl Provider for DynamicsProvider {
    fn info(&self) -> &ProviderInfo {
        &INFO
    }

    async fn types(&self, cx: &Context, query: &TypeQuery) -> Result<TypePage> {
        let tables = self.environment.tables(cx, query.refresh).await?;
        let types = discover::summaries(&tables.all, &tables.links, query.search.as_deref());
        Ok(TypePage { types, next: None })
    }

    async fn open(&self, cx: &Context, name: &TypeName) -> Result<Arc<dyn Records>> {
        let described = self.environment.described(cx, name.as_str()).await?;
        Ok(Arc::new(records::DynamicsRecords::new(Arc::clone(&self.environment), described)))
    }

    async fn open_setting(&self, _: &Context) -> Result<Option<OpenSetting>> {
        Ok(None)
    }

    async fn probe(&self, cx: &Context) -> Result<Probe> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct WhoAmI {
            user_id: String,
            organization_id: Option<String>,
        }
        let version = &self.environment.version;
        let reply = cx.send(api::who_am_i(version)).await?;
        let quota = DynamicsDialect.quota(&reply);
        let who: WhoAmI = dialect::read("WhoAmI", &reply.body)?;
        let mut probe = Probe {
            quota: quota.used.zip(quota.allowed),
            account: Some(format!("user {}", who.user_id)),
            ..Probe::default()
        };
        if let Some(organization) = who.organization_id {
            probe.notes.push(format!("organization {organization}"));
        }
        // The user's name is in a table that not everybody may read.
        if let Some(id) = odata::canonical_guid(&who.user_id) {
            #[derive(Deserialize)]
            struct User {
                fullname: Option<String>,
            }
            let resource = format!("systemusers({id})?$select=fullname");
            if let Ok(reply) = cx.send(api::get("probe", version, &resource, "")).await
                && let Ok(User { fullname: Some(name) }) = dialect::read("systemusers", &reply.body)
            {
                probe.account = Some(name);
            }
        }
        Ok(probe)
    }
}

/// One table as a record type, and how the Web API calls its parts.
#[derive(Debug)]
struct Described {
    record_type: Arc<RecordType>,
    wires: Wires,
}

/// What is known of the environment: its tables, kept for a while.
#[derive(Debug)]
struct Environment {
    version: String,
    tables: Kept<Tables>,
    described: Descriptions<Described>,
}

/// The tables of an environment.
#[derive(Debug)]
struct Tables {
    all: Vec<Table>,
    /// Its many-to-many relationships.
    links: Vec<ManyToMany>,
    /// Where the service says that its API is.
    root: String,
}

impl Environment {
    fn new(version: String) -> Self {
        Self { version, tables: Kept::default(), described: Descriptions::default() }
    }

    /// Every table; Dataverse gives them in one answer, and the relationships that join them in another.
    async fn tables(&self, cx: &Context, refresh: bool) -> Result<Arc<Tables>> {
        let ask = async |_| {
            let resource = format!("EntityDefinitions?$select={TABLE_SELECT}");
            let call =
                |resource: &str| api::definitions("types", &self.version, resource, refresh || cx.refresh);
            let (tables, links) =
                futures::try_join!(cx.send(call(&resource)), cx.send(call(links::RESOURCE)))?;
            let mut list: List<Table> = dialect::read("the list of tables", &tables.body)?;
            let links = dialect::read::<List<ManyToMany>>("relationships", &links.body)?.value;
            list.value.retain(|table| table.address().is_some());
            list.value.sort_by(|one, other| one.logical_name.cmp(&other.logical_name));
            let root = list.context.as_deref().and_then(|context| context.split_once("$metadata"));
            let root = root.map(|(root, _)| root.to_owned()).unwrap_or_default();
            Ok(Description::new(cx, Tables { all: list.value, links, root }))
        };
        self.tables.get(cx, refresh, ask).await
    }

    async fn described(&self, cx: &Context, name: &str) -> Result<Arc<Described>> {
        self.described.get(cx, name, async |_| Ok(Description::new(cx, self.describe(cx, name).await?))).await
    }

    async fn describe(&self, cx: &Context, name: &str) -> Result<Described> {
        let tables = self.tables(cx, false).await?;
        let known = tables.all.iter().find(|table| table.logical_name == name);
        let Some(table) = known.filter(|_| is_name(name)) else {
            return Err(unknown_type(name, &tables.all));
        };
        let definition = match self.definition(cx, name).await {
            Ok(parts) => Definition { table: table.clone(), ..parts },
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(unknown_type(name, &tables.all)),
            Err(error) => return Err(error.with_record_type(name)),
        };
        let targets: TargetColumns = tables
            .all
            .iter()
            .filter_map(|table| {
                let (_, id) = table.address()?;
                let name = table.primary_name_attribute.clone().filter(|name| is_name(name));
                Some((table.logical_name.clone(), (id.to_owned(), name)))
            })
            .collect();
        let Some((mut record_type, mut wires)) = discover::record_type(&definition, &targets) else {
            return Err(unknown_type(name, &tables.all));
        };
        wires.link = links::link_of(table, &tables.links, &tables.all);
        if let Some(link) = &wires.link {
            links::as_links(&mut record_type, link, &tables.all, &targets);
        }
        for (column, reason) in &wires.left_out {
            tracing::debug!(table = name, column, reason, "a column is left out");
        }
        Ok(Described { record_type: Arc::new(record_type), wires })
    }

    /// Columns, keys and relationships: one request for all columns, then one for each kind that there is.
    async fn definition(&self, cx: &Context, name: &str) -> Result<Definition> {
        let of_table = |rest: &str| {
            let resource = format!("EntityDefinitions(LogicalName='{name}')/{rest}");
            api::definitions("describe", &self.version, &resource, cx.refresh)
        };
        let keys = of_table("Keys?$select=KeyAttributes,EntityKeyIndexStatus");
        let ways = of_table(
            "ManyToOneRelationships?$select=ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName",
        );
        let columns = of_table(&format!("Attributes?$select={ATTRIBUTE_SELECT}"));
        let (columns, keys, ways) = futures::try_join!(cx.send(columns), cx.send(keys), cx.send(ways))?;
        let mut attributes = dialect::read::<List<Attribute>>("columns", &columns.body)?.value;
        let mut casts: Vec<&str> =
            attributes.iter().filter_map(|attribute| cast_of(&attribute.kind())).collect();
        casts.sort_unstable();
        casts.dedup();
        let asked =
            casts.iter().map(|cast| cx.send(of_table(&format!("Attributes/Microsoft.Dynamics.CRM.{cast}"))));
        for reply in try_join_all(asked).await? {
            let details = dialect::read::<List<Attribute>>("columns of one kind", &reply.body)?;
            metadata::merge(&mut attributes, details.value);
        }
        Ok(Definition {
            table: Table::default(),
            attributes,
            keys: dialect::read::<List<_>>("alternate keys", &keys.body)?.value,
            many_to_one: dialect::read::<List<_>>("relationships", &ways.body)?.value,
        })
    }

    /// Lets a table be described anew the next time.
    async fn forget(&self, name: &str) {
        self.described.forget(name).await;
    }

    /// The entity set of a table, for references to its records.
    async fn set_of(&self, cx: &Context, name: &str) -> Result<String> {
        let tables = self.tables(cx, false).await?;
        let table = tables.all.iter().find(|table| table.logical_name == name);
        let set = table.and_then(Table::address).map(|(set, _)| set.to_owned());
        set.ok_or_else(|| unknown_type(name, &tables.all))
    }

    /// What stands before an entity set in a whole address, as the service writes it.
    async fn root(&self, cx: &Context) -> Result<String> {
        Ok(self.tables(cx, false).await?.root.clone())
    }
}

/// The error for a table that does not exist, with the names that come nearest.
fn unknown_type(name: &str, tables: &[Table]) -> Error {
    let known = tables.iter().flat_map(|table| {
        let own = table.logical_name.as_str();
        table.display_name.texts().chain([own]).map(move |text| (text, own))
    });
    Error::new(ErrorKind::NotFound, format!("Dataverse has no record type {name:?} for this user"))
        .with_provider("dynamics")
        .with_operation("describe")
        .with_record_type(name)
        .with_code("unknown_type")
        .with_advice(did_you_mean(&nearest_few(name, known)).unwrap_or_else(|| {
            "`recordport types CONNECTION --search TEXT` lists the types there are".to_owned()
        }))
}
