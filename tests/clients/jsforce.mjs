// Drives the emulator with the jsforce package, unmodified, as its users do. The ready line of the emulator comes
// in RECORDPORT_READY; any failed assertion ends with a non-zero exit code.
import assert from "node:assert/strict";
import jsforce from "jsforce";

const ready = JSON.parse(process.env.RECORDPORT_READY);
const account = ready.credentials.salesforce;

const checks = [];
const check = (name, run) => checks.push([name, run]);

async function loggedIn() {
  const connection = new jsforce.Connection({
    oauth2: { loginUrl: ready.http, clientId: account.client_id, clientSecret: account.client_secret, redirectUri: "http://localhost:7281/callback" },
    version: "60.0",
  });
  await connection.login(account.username, account.password);
  return connection;
}

check("a password login gives an identity", async () => {
  const connection = await loggedIn();
  assert.match(connection.accessToken, /^00D.+!/);
  const identity = await connection.identity();
  assert.equal(identity.username, account.username);
});

check("a session that ran out is refreshed and the call repeated", async () => {
  let refreshed = 0;
  const connection = new jsforce.Connection({
    oauth2: { loginUrl: ready.http, clientId: account.client_id, clientSecret: account.client_secret, redirectUri: "http://localhost:7281/callback" },
    instanceUrl: ready.http,
    accessToken: "00Dxx0000000000!not-a-session",
    refreshToken: account.refresh_token,
    version: "60.0",
  });
  connection.on("refresh", () => (refreshed += 1));
  const answer = await connection.query("SELECT Id FROM Account LIMIT 1");
  assert.equal(answer.records.length, 1);
  assert.equal(refreshed, 1);
});

check("global and single describes carry what forms need", async () => {
  const connection = await loggedIn();
  const all = await connection.describeGlobal();
  const names = all.sobjects.map((type) => type.name);
  for (const name of ["Account", "Contact", "Opportunity", "Case", "Lead", "Task", "User", "Invoice__c"]) {
    assert.ok(names.includes(name), name);
  }
  const account = await connection.sobject("Account").describe();
  assert.equal(account.fields.find((field) => field.name === "Name").nillable, false);
  assert.equal(account.keyPrefix, "001");
});

check("a query runs over all its pages and counts truly", async () => {
  const connection = await loggedIn();
  const first = await connection.query("SELECT Id, LastName FROM Contact ORDER BY Id", { headers: { "Sforce-Query-Options": "batchSize=200" } });
  const ids = new Set(first.records.map((row) => row.Id));
  let page = first;
  while (!page.done) {
    page = await connection.queryMore(page.nextRecordsUrl, { headers: { "Sforce-Query-Options": "batchSize=200" } });
    page.records.forEach((row) => ids.add(row.Id));
  }
  assert.equal(ids.size, first.totalSize);
  assert.ok(first.totalSize > first.records.length, "more than one page");
});

check("find, like, in, null, dates and parent paths", async () => {
  const connection = await loggedIn();
  const rows = await connection
    .sobject("Contact")
    .find({ AccountId: { $ne: null }, CreatedDate: { $lt: jsforce.SfDate.toDateTimeLiteral(new Date()) } }, "Id, LastName, Account.Name")
    .sort({ LastName: 1 })
    .limit(5)
    .execute();
  assert.equal(rows.length, 5);
  for (const row of rows) assert.equal(typeof row.Account.Name, "string");
});

check("create, retrieve, update, delete one record", async () => {
  const connection = await loggedIn();
  const contacts = connection.sobject("Contact");
  const created = await contacts.create({ LastName: "O'Brien \\ Söhne 🙂", Email: "one@example.com" });
  assert.equal(created.success, true);
  assert.match(created.id, /^003.{15}$/);
  assert.equal((await contacts.retrieve(created.id)).LastName, "O'Brien \\ Söhne 🙂");
  await contacts.update({ Id: created.id, Email: null });
  assert.equal((await contacts.retrieve(created.id)).Email, null);
  await contacts.destroy(created.id);
  await assert.rejects(contacts.retrieve(created.id), { errorCode: /ENTITY_IS_DELETED|NOT_FOUND/ });
});

check("collections keep order and tell each row's outcome", async () => {
  const connection = await loggedIn();
  const leads = connection.sobject("Lead");
  const results = await leads.create([{ LastName: "A", Company: "A" }, { Company: "no last name" }, { LastName: "C", Company: "C" }]);
  assert.deepEqual(results.map((row) => row.success), [true, false, true]);
  assert.equal(results[1].errors[0].statusCode, "REQUIRED_FIELD_MISSING");
  const ids = [results[0].id, results[2].id];
  const updated = await leads.update(ids.map((Id) => ({ Id, Company: "both" })));
  assert.deepEqual(updated.map((row) => row.id), ids);
  const read = await leads.retrieve(ids);
  assert.deepEqual(read.map((row) => row.Company), ["both", "both"]);
  const many = await leads.create(Array.from({ length: 450 }, (_, at) => ({ LastName: `L${at}`, Company: "many" })), { allowRecursive: true });
  assert.equal(new Set(many.map((row) => row.id)).size, 450);
  const gone = await leads.destroy(ids);
  assert.deepEqual(gone.map((row) => row.success), [true, true]);
});

check("upsert by external id creates once and then updates", async () => {
  const connection = await loggedIn();
  const invoices = connection.sobject("Invoice__c");
  const first = await invoices.upsert({ External_Id__c: "client 1", Amount__c: 12.5 }, "External_Id__c");
  assert.equal(first.created, true);
  const second = await invoices.upsert({ External_Id__c: "client 1", Amount__c: 13.25 }, "External_Id__c");
  assert.equal(second.created, false);
  const rows = await connection.query("SELECT Id, Amount__c FROM Invoice__c WHERE External_Id__c = 'client 1'");
  assert.equal(rows.totalSize, 1);
  assert.equal(rows.records[0].Amount__c, 13.25);
});

check("wrong queries and wrong fields get Salesforce's own errors", async () => {
  const connection = await loggedIn();
  await assert.rejects(connection.query("SELECT Nope FROM Account"), { errorCode: "INVALID_FIELD" });
  await assert.rejects(connection.query("SELECT Id FROM Nope"), { errorCode: "INVALID_TYPE" });
  await assert.rejects(connection.query("SELECT Id FROM"), { errorCode: "MALFORMED_QUERY" });
  await assert.rejects(connection.sobject("Contact").create({ LastName: "x", Nope__c: 1 }), { errorCode: "INVALID_FIELD" });
});

let failed = 0;
for (const [name, run] of checks) {
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error?.errorCode ?? ""} ${error?.stack ?? error}`);
  }
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
