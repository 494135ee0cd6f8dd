// Drives the emulator with the jsforce package, unmodified, as its users do. The ready line of the emulator comes
// in RECORDPORT_READY, RECORDPORT_SCHEME chooses http or https; any failed assertion ends with a non-zero exit code.
import assert from "node:assert/strict";
import jsforce from "jsforce";

const ready = JSON.parse(process.env.RECORDPORT_READY);
const account = ready.credentials.salesforce;
const base = ready[process.env.RECORDPORT_SCHEME ?? "http"];
const redirectUri = "http://localhost:7281/callback";

const checks = [];
const check = (name, run) => checks.push([name, run]);

async function loggedIn() {
  const connection = new jsforce.Connection({
    oauth2: { loginUrl: base, clientId: account.client_id, clientSecret: account.client_secret, redirectUri },
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
    oauth2: { loginUrl: base, clientId: account.client_id, clientSecret: account.client_secret, redirectUri },
    instanceUrl: base,
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

// Presses Allow on the consent page, as a browser would, and gives the code that comes back.
async function allowed(url) {
  const page = await (await fetch(url)).text();
  const action = /<form method="post" action="([^"]+)"/.exec(page)[1];
  const request = /name="request" value="([^"]+)"/.exec(page)[1];
  const answer = await fetch(new URL(action, url), {
    method: "POST", redirect: "manual", body: new URLSearchParams({ request, decision: "allow" }),
  });
  assert.equal(answer.status, 302);
  const back = new URL(answer.headers.get("location"));
  assert.equal(back.origin + back.pathname, redirectUri);
  assert.equal(back.searchParams.get("state"), "as sent");
  return back.searchParams.get("code");
}

// A connection that knows nothing but the session has no way to renew it.
const sessionIsOver = (accessToken) =>
  assert.rejects(new jsforce.Connection({ instanceUrl: base, accessToken }).query("SELECT Id FROM Account LIMIT 1"), {
    errorCode: "INVALID_SESSION_ID",
  });

check("a code with PKCE buys tokens, and each refresh replaces the refresh token", async () => {
  const oauth2 = new jsforce.OAuth2({ loginUrl: base, clientId: account.client_id, clientSecret: account.client_secret, redirectUri, useVerifier: true });
  const code = await allowed(oauth2.getAuthorizationUrl({ scope: "api id refresh_token", state: "as sent" }));
  const connection = new jsforce.Connection({ oauth2, version: "60.0" });
  const info = await connection.authorize(code, { code_verifier: oauth2.codeVerifier });
  assert.match(info.id, /^005/);
  assert.equal((await connection.identity()).username, account.username);
  const first = connection.refreshToken;
  const renewed = await oauth2.refreshToken(first);
  assert.notEqual(renewed.refresh_token, first);
  const again = new jsforce.Connection({ oauth2, instanceUrl: renewed.instance_url, accessToken: renewed.access_token, version: "60.0" });
  assert.equal((await again.query("SELECT Id FROM Account LIMIT 1")).totalSize, 1);
  await assert.rejects(oauth2.refreshToken(first), { name: "invalid_grant" });
  await sessionIsOver(renewed.access_token);
});

check("a SOAP login gives a session that REST accepts", async () => {
  const connection = new jsforce.Connection({ loginUrl: base, version: "60.0" });
  const info = await connection.login(account.username, account.password);
  assert.match(info.organizationId, /^00D/);
  assert.equal(connection.instanceUrl, base);
  assert.equal((await connection.query("SELECT Id FROM Account LIMIT 1")).totalSize, 1);
  await assert.rejects(new jsforce.Connection({ loginUrl: base }).login(account.username, "wrong"), /INVALID_LOGIN/);
  const session = connection.accessToken;
  await connection.logout();
  await sessionIsOver(session);
});

check("an identity is found with nothing but a session", async () => {
  const session = await loggedIn();
  const connection = new jsforce.Connection({ instanceUrl: base, accessToken: session.accessToken, version: "60.0" });
  assert.equal((await connection.identity()).username, account.username);
});

check("children come with their parents", async () => {
  const connection = await loggedIn();
  const found = await connection.query("SELECT Id, Name, (SELECT Id, LastName FROM Contacts) FROM Account WHERE Id IN (SELECT AccountId FROM Contact)");
  assert.ok(found.records.length > 0);
  for (const row of found.records) {
    assert.equal(row.Contacts.totalSize, row.Contacts.records.length);
    assert.equal(typeof row.Contacts.records[0].LastName, "string");
  }
});

check("what was changed and deleted is told", async () => {
  const connection = await loggedIn();
  const leads = connection.sobject("Lead");
  const made = await leads.create([{ LastName: "kept", Company: "feed" }, { LastName: "gone", Company: "feed" }]);
  await leads.destroy(made[1].id);
  const start = new Date(Date.now() - 600_000).toISOString();
  const end = new Date(Date.now() + 120_000).toISOString();
  assert.ok((await leads.updated(start, end)).ids.includes(made[0].id));
  assert.ok((await leads.deleted(start, end)).deletedRecords.some((row) => row.id === made[1].id));
});

check("full-text search finds what was written", async () => {
  const connection = await loggedIn();
  await connection.sobject("Lead").create({ LastName: "Wombat", Company: "Burrow Works" });
  const found = await connection.search("FIND {wombat} IN NAME FIELDS RETURNING Lead(Id, LastName)");
  assert.deepEqual(found.searchRecords.map((row) => row.LastName), ["Wombat"]);
});

check("bulk ingest tells every row, and bulk query reads them back", async () => {
  const connection = await loggedIn();
  const input = [{ LastName: 'B "1"', Company: "bulk, one" }, { LastName: "B 2", Company: "" }, { LastName: "B\n3", Company: "bulk, one" }];
  const wanted = { object: "Lead", operation: "insert", pollInterval: 20, pollTimeout: 20_000 };
  const results = await connection.bulk2.loadAndWaitForResults({ ...wanted, input });
  assert.deepEqual([results.successfulResults.length, results.failedResults.length, results.unprocessedRecords.length], [2, 1, 0]);
  assert.equal(results.successfulResults[0].sf__Created, "true");
  assert.match(results.failedResults[0].sf__Error, /^REQUIRED_FIELD_MISSING:/);
  const job = connection.bulk2.createJob({ object: "Lead", operation: "delete" });
  await job.open();
  await job.uploadData(results.successfulResults.slice(0, 1).map((row) => ({ Id: row.sf__Id })));
  await job.abort();
  assert.equal((await job.check()).state, "Aborted");
  await job.delete();

  const rows = [];
  const stream = await connection.bulk2.query("SELECT Id, LastName, CreatedDate FROM Lead WHERE Company = 'bulk, one' ORDER BY Id", { pollInterval: 20, pollTimeout: 20_000 });
  await new Promise((resolve, reject) => stream.on("record", (row) => rows.push(row)).on("end", resolve).on("error", reject));
  assert.deepEqual(rows.map((row) => row.LastName), ['B "1"', "B\n3"]);
  assert.match(rows[0].CreatedDate, /\.000Z$/);
  await assert.rejects(connection.bulk2.query("SELECT COUNT() FROM Lead"), { errorCode: "API_ERROR" });
});

check("limits and versions are told", async () => {
  const connection = await loggedIn();
  assert.ok((await connection.limits()).DailyApiRequests.Remaining > 0);
  assert.ok(connection.limitInfo.apiUsage.used > 0);
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
