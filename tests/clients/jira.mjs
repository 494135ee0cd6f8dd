// Drives the emulator with the jira.js package, unmodified, as its users do. The ready line of the emulator comes in
// RECORDPORT_READY; any failed assertion ends with a non-zero exit code. The package has Atlassian's own addresses
// written into it for OAuth, so requests to these are led to the emulator.
import assert from "node:assert/strict";
import {
  Version3Client,
  exchangeAuthorizationCode,
  generateAuthorizationUrl,
  getAccessibleResources,
  refreshOAuth2Token,
} from "jira.js";

const ready = JSON.parse(process.env.RECORDPORT_READY);
const account = ready.credentials.jira;

const direct = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const given = input instanceof Request ? input.url : String(input);
  const led = given.replace(/^https:\/\/(auth|api)\.atlassian\.com/, ready.http);
  return direct(input instanceof Request && led !== given ? new Request(led, input) : input instanceof Request ? input : led, init);
};

const checks = [];
const check = (name, run) => checks.push([name, run]);
const text = (words) => ({ type: "doc", version: 1, content: [{ type: "paragraph", content: [{ type: "text", text: words }] }] });

const basic = new Version3Client({
  host: ready.http,
  authentication: { basic: { email: account.email, apiToken: account.api_token } },
});
let oauth;
let bug;

check("the user is known by e-mail and token", async () => {
  const me = await basic.myself.getCurrentUser();
  assert.equal(me.emailAddress, account.email);
});

check("a code buys tokens, which lead to the site and are renewed", async () => {
  const app = { clientId: account.client_id, clientSecret: account.client_secret, redirectUri: account.redirect_uri };
  const url = generateAuthorizationUrl({
    ...app,
    scopes: ["read:jira-work", "write:jira-work", "read:jira-user", "offline_access"],
    state: "s1",
  });
  const page = await (await fetch(url)).text();
  const number = page.match(/name="request" value="([^"]+)"/)[1];
  const site = page.match(/<option value="([^"]+)" selected/)[1];
  const answer = await fetch(`${ready.http}/authorize`, {
    method: "POST",
    body: new URLSearchParams({ request: number, site, decision: "allow" }),
    redirect: "manual",
  });
  const back = new URL(answer.headers.get("location"));
  assert.equal(back.searchParams.get("state"), "s1");
  const tokens = await exchangeAuthorizationCode({ ...app, code: back.searchParams.get("code") });
  assert.equal(tokens.expiresIn, 3600);
  const sites = await getAccessibleResources(tokens.accessToken);
  assert.deepEqual(sites.map((one) => one.id), [account.cloud_id]);
  const renewed = await refreshOAuth2Token({ ...app, refreshToken: tokens.refreshToken });
  assert.notEqual(renewed.refreshToken, tokens.refreshToken);
  oauth = new Version3Client({
    authentication: {
      oauth2: {
        accessToken: renewed.accessToken,
        refreshToken: renewed.refreshToken,
        clientId: app.clientId,
        clientSecret: app.clientSecret,
      },
    },
    baseRequestConfig: { adapter: "fetch" },
  });
  const me = await oauth.myself.getCurrentUser();
  assert.equal(me.emailAddress, account.email);
});

check("projects, fields and create screens are described", async () => {
  const projects = await basic.projects.searchProjects();
  assert.ok(projects.values.some((one) => one.key === "OPS"));
  const fields = await basic.issueFields.getFields();
  assert.ok(fields.some((one) => one.schema?.custom?.endsWith(":cascadingselect")));
  const types = await oauth.issues.getCreateIssueMetaIssueTypes({ projectIdOrKey: "OPS" });
  bug = types.issueTypes.find((one) => one.name === "Bug");
  const screen = await oauth.issues.getCreateIssueMetaIssueTypeId({ projectIdOrKey: "OPS", issueTypeId: bug.id });
  assert.ok(screen.fields.find((one) => one.fieldId === "summary").required);
});

check("a query runs over all its pages, by GET and by POST", async () => {
  for (const search of ["searchForIssuesUsingJqlEnhancedSearch", "searchForIssuesUsingJqlEnhancedSearchPost"]) {
    const keys = new Set();
    let nextPageToken;
    do {
      const page = await oauth.issueSearch[search]({ jql: "project = OPS ORDER BY key", fields: ["summary"], maxResults: 50, nextPageToken });
      page.issues.forEach((one) => keys.add(one.key));
      nextPageToken = page.nextPageToken;
    } while (nextPageToken);
    assert.equal(keys.size, 120);
  }
});

check("an issue lives from create to delete with all that hangs on it", async () => {
  const fields = { project: { key: "OPS" }, issuetype: { id: bug.id }, summary: "From jira.js", customfield_10020: { value: "Major" } };
  const { key, id } = await basic.issues.createIssue({ fields: { ...fields, description: "first line" } });
  const many = await oauth.issues.createIssues({ issueUpdates: [{ fields }, { fields: { ...fields, summary: "" } }] });
  assert.deepEqual([many.issues.length, many.errors[0].failedElementNumber], [1, 1]);
  const other = many.issues[0].key;

  await oauth.issues.editIssue({ issueIdOrKey: key, fields: { summary: "Changed" }, update: { labels: [{ add: "one" }] } });
  const read = await basic.issues.getIssue({ issueIdOrKey: key });
  assert.deepEqual([read.id, read.fields.summary, read.fields.labels], [id, "Changed", ["one"]]);
  assert.deepEqual(read.fields.description, text("first line"));

  const { transitions } = await oauth.issues.getTransitions({ issueIdOrKey: key });
  await oauth.issues.doTransition({ issueIdOrKey: key, transition: { id: transitions[0].id } });
  const after = await basic.issues.getIssue({ issueIdOrKey: key, fields: ["status"] });
  assert.equal(after.fields.status.name, transitions[0].to.name);

  const comment = await basic.issueComments.addComment({ issueIdOrKey: key, comment: "a remark" });
  const comments = await oauth.issueComments.getComments({ issueIdOrKey: key });
  assert.deepEqual(comments.comments.map((one) => one.id), [comment.id]);
  const work = await basic.issueWorklogs.addWorklog({ issueIdOrKey: key, timeSpentSeconds: 3600, started: "2026-01-01T09:00:00.000+0000" });
  assert.equal(work.timeSpentSeconds, 3600);

  const [file] = await basic.issueAttachments.addAttachment({ issueIdOrKey: key, attachment: { filename: "a.txt", file: "hello" } });
  const content = await basic.issueAttachments.getAttachmentContent({ id: file.id });
  assert.equal(Buffer.from(content).toString(), "hello");

  await oauth.issueLinks.linkIssues({ type: { name: "Blocks" }, inwardIssue: { key }, outwardIssue: { key: other } });
  const linked = await basic.issues.getIssue({ issueIdOrKey: key, fields: ["issuelinks"] });
  assert.equal(linked.fields.issuelinks[0].outwardIssue.key, other);

  for (const gone of [key, other]) await oauth.issues.deleteIssue({ issueIdOrKey: gone });
  await assert.rejects(basic.issues.getIssue({ issueIdOrKey: key }), (error) => error.status === 404);
});

check("what Jira refuses is told field by field", async () => {
  const refused = basic.issues.createIssue({ fields: { project: { key: "OPS" }, issuetype: { id: bug.id }, summary: "x" } });
  await assert.rejects(refused, (error) => error.status === 400);
});

let failed = 0;
for (const [name, run] of checks) {
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error?.status ?? ""} ${error?.stack ?? error} ${JSON.stringify(error?.response ?? error)}`);
  }
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
