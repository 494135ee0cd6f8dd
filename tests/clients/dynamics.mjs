// Drives the emulator with the dynamics-web-api package, unmodified, as its users do. The ready line of the emulator
// comes in RECORDPORT_READY; any failed assertion ends with a non-zero exit code.
import assert from "node:assert/strict";
import { DynamicsWebApi } from "dynamics-web-api";

const ready = JSON.parse(process.env.RECORDPORT_READY);
const account = ready.credentials.dynamics;

const checks = [];
const check = (name, run) => checks.push([name, run]);

async function token() {
  const answer = await fetch(`${ready.http}/${account.tenant}/oauth2/v2.0/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: account.client_id,
      client_secret: account.client_secret,
      scope: `${ready.http}/.default`,
    }),
  });
  const body = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(body));
  return body.access_token;
}

const api = new DynamicsWebApi({
  serverUrl: ready.http,
  dataApi: { version: "9.2" },
  onTokenRefresh: token,
});

check("the caller is known", async () => {
  const me = await api.callFunction({ functionName: "WhoAmI" });
  assert.match(me.UserId, /^[0-9a-f-]{36}$/);
});

check("metadata is read with casts and expansions", async () => {
  const entities = await api.retrieveEntities({ select: ["LogicalName", "EntitySetName"], filter: "IsCustomEntity eq true" });
  assert.ok(entities.value.some((one) => one.EntitySetName === "new_invoices"));
  const entity = await api.retrieveEntity({ key: "LogicalName='account'", select: ["LogicalName"], expand: [{ property: "Keys" }] });
  assert.equal(entity.Keys[0].KeyAttributes[0], "accountnumber");
  const picks = await api.retrieveAttributes({
    entityKey: "LogicalName='new_invoice'",
    castType: "Microsoft.Dynamics.CRM.PicklistAttributeMetadata",
    select: ["LogicalName"],
    expand: [{ property: "OptionSet" }, { property: "GlobalOptionSet" }],
  });
  assert.ok(picks.value.find((one) => one.LogicalName === "new_color").OptionSet.Options.length === 3);
});

check("a query runs over all its pages", async () => {
  const ids = new Set();
  let page = await api.retrieveMultiple({ collection: "contacts", select: ["lastname"], maxPageSize: 70, count: true });
  const total = page.oDataCount;
  for (;;) {
    page.value.forEach((row) => ids.add(row.contactid));
    if (!page.oDataNextLink) break;
    page = await api.retrieveMultiple({ collection: "contacts", select: ["lastname"], maxPageSize: 70 }, page.oDataNextLink);
  }
  assert.equal(ids.size, total);
  assert.ok(total > 200);
  const all = await api.retrieveAll({ collection: "accounts", select: ["name"], orderBy: ["name desc"] });
  assert.equal(all.value.length, await api.count({ collection: "accounts" }));
});

check("conditions, expansions and annotations", async () => {
  const page = await api.retrieveMultiple({
    collection: "contacts",
    select: ["lastname", "statecode"],
    filter: "contains(lastname,'a') and parentcustomerid_account/name ne null and createdon lt 2030-01-01T00:00:00Z",
    expand: [{ property: "parentcustomerid_account", select: ["name"] }],
    includeAnnotations: "*",
    top: 5,
  });
  assert.ok(page.value.length > 0);
  for (const row of page.value) {
    assert.equal(typeof row.parentcustomerid_account.name, "string");
    assert.ok(row["statecode@OData.Community.Display.V1.FormattedValue"]);
  }
});

check("create, retrieve, update, upsert, delete one record", async () => {
  const id = await api.create({ collection: "accounts", data: { name: "O'Brien \\ Söhne 🙂", revenue: 12.5 } });
  const row = await api.retrieve({ collection: "accounts", key: id, select: ["name", "revenue"] });
  assert.deepEqual([row.name, row.revenue], ["O'Brien \\ Söhne 🙂", 12.5]);
  await api.update({ collection: "accounts", key: id, data: { revenue: null }, ifmatch: row["@odata.etag"] });
  // The package answers false when the version in If-Match is stale (412).
  assert.equal(await api.update({ collection: "accounts", key: id, data: { revenue: 1 }, ifmatch: row["@odata.etag"] }), false);
  const made = await api.upsert({ collection: "accounts", key: "accountnumber='client-1'", data: { name: "By key" }, returnRepresentation: true });
  assert.equal(made.accountnumber, "client-1");
  await api.updateSingleProperty({ collection: "accounts", key: id, fieldValuePair: { name: "Renamed" } });
  await api.deleteRecord({ collection: "accounts", key: id });
  await assert.rejects(api.retrieve({ collection: "accounts", key: id }), { status: 404, code: "0x80040217" });
});

check("links are made and taken away", async () => {
  const firm = await api.create({ collection: "accounts", data: { name: "Links" } });
  const person = await api.create({ collection: "contacts", data: { lastname: "Links", "parentcustomerid_account@odata.bind": `/accounts(${firm})` } });
  await api.associateSingleValued({ collection: "accounts", primaryKey: firm, navigationProperty: "primarycontactid", relatedCollection: "contacts", relatedKey: person });
  const row = await api.retrieve({ collection: "accounts", key: firm, expand: [{ property: "contact_customer_accounts", select: ["lastname"] }] });
  assert.equal(row._primarycontactid_value, person);
  assert.equal(row.contact_customer_accounts.length, 1);
  await api.disassociateSingleValued({ collection: "accounts", primaryKey: firm, navigationProperty: "primarycontactid" });
});

check("a batch is a change set with references", async () => {
  api.startBatch();
  api.create({ collection: "accounts", data: { name: "Batch" }, contentId: "1" });
  api.create({ collection: "contacts", data: { lastname: "Batch", "parentcustomerid_account@odata.bind": "$1" } });
  const results = await api.executeBatch();
  assert.equal(results.length, 2);
  const row = await api.retrieve({ collection: "contacts", key: results[1], select: ["_parentcustomerid_value"] });
  assert.equal(row._parentcustomerid_value, results[0]);
});

check("changes are tracked from a delta link", async () => {
  const first = await api.retrieveMultiple({ collection: "new_invoices", select: ["new_name"], trackChanges: true });
  assert.ok(first.oDataDeltaLink);
  const id = await api.create({ collection: "new_invoices", data: { new_name: "Delta", new_quantity: 1 } });
  const delta = await api.retrieveMultiple({ collection: "new_invoices" }, first.oDataDeltaLink);
  assert.deepEqual(delta.value.map((row) => row.new_invoiceid), [id]);
});

let failed = 0;
for (const [name, run] of checks) {
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error?.code ?? ""} ${error?.stack ?? error} ${JSON.stringify(error)}`);
  }
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
