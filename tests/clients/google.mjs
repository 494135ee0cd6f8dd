// Drives the emulator with Google's own package for the Calendar API, unmodified but for a fetch that takes every
// host of the service to the emulator. The ready line of the emulator comes in RECORDPORT_READY; any failed assertion
// ends with a non-zero exit code.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { auth as signIn, calendar } from "@googleapis/calendar";

const ready = JSON.parse(process.env.RECORDPORT_READY);
const account = ready.credentials["google-calendar"];

const fetchImplementation = async (address, init) => {
  const url = new URL(address);
  return fetch(`${ready.http}${url.pathname}${url.search}`, init);
};
// For the calls of the API and for those of the sign-in.
const transporterOptions = { fetchImplementation };

const client = () =>
  new signIn.OAuth2({
    clientId: account.client_id,
    clientSecret: account.client_secret,
    redirectUri: account.redirect_uri,
    transporterOptions,
  });

const signedIn = client();
signedIn.setCredentials({ refresh_token: account.refresh_token });
const google = calendar({ version: "v3", auth: signedIn, fetchImplementation, retry: false });

const checks = [];
const check = (name, run) => checks.push([name, run]);

const refused = async (status, call) => {
  try {
    await call;
  } catch (error) {
    assert.equal(Number(error.status ?? error.code), status, String(error));
    return error.response.data.error;
  }
  assert.fail("this should have been refused");
};

const meeting = (summary) => ({
  summary,
  start: { dateTime: "2026-05-04T09:00:00", timeZone: "Europe/Berlin" },
  end: { dateTime: "2026-05-04T10:00:00", timeZone: "Europe/Berlin" },
});

check("the calendars are listed, the user's own first", async () => {
  const { data } = await google.calendarList.list();
  assert.equal(data.kind, "calendar#calendarList");
  assert.ok(data.items.some((item) => item.primary));
});

check("a refresh token buys a new access token", async () => {
  const { token } = await signedIn.getAccessToken();
  assert.ok(token);
});

check("a code with PKCE buys tokens", async () => {
  const own = client();
  const { codeVerifier, codeChallenge } = await own.generateCodeVerifierAsync();
  const address = own.generateAuthUrl({
    access_type: "offline",
    prompt: "consent",
    scope: ["https://www.googleapis.com/auth/calendar.readonly"],
    code_challenge: codeChallenge,
    code_challenge_method: "S256",
  });
  const page = await (await fetchImplementation(address)).text();
  const number = page.match(/name="request" value="([^"]+)"/)[1];
  const answer = await fetch(`${ready.http}/o/oauth2/v2/auth`, {
    method: "POST",
    redirect: "manual",
    body: new URLSearchParams({ request: number, decision: "allow" }),
  });
  const code = new URL(answer.headers.get("location")).searchParams.get("code");
  const { tokens } = await own.getToken({ code, codeVerifier });
  assert.ok(tokens.refresh_token);
  own.setCredentials(tokens);
  const reader = calendar({ version: "v3", auth: own, fetchImplementation, retry: false });
  await reader.events.list({ calendarId: "primary", maxResults: 1 });
  const error = await refused(403, reader.events.insert({ calendarId: "primary", requestBody: meeting("no") }));
  assert.equal(error.errors[0].reason, "insufficientPermissions");
});

check("a service account signs in with its key", async () => {
  const key = JSON.parse(readFileSync(account.service_account_file, "utf8"));
  const robot = new signIn.JWT({
    email: key.client_email,
    key: key.private_key,
    scopes: ["https://www.googleapis.com/auth/calendar"],
    subject: account.user,
    transporterOptions,
  });
  const own = calendar({ version: "v3", auth: robot, fetchImplementation, retry: false });
  const { data } = await own.colors.get();
  assert.equal(data.kind, "calendar#colors");
});

check("an event is made, read, patched and deleted", async () => {
  const { data: made } = await google.events.insert({ calendarId: "primary", requestBody: meeting("Review") });
  assert.equal(made.start.dateTime, "2026-05-04T09:00:00+02:00");
  const eventId = made.id;
  const { data: patched } = await google.events.patch({
    calendarId: "primary",
    eventId,
    requestBody: { location: "Room 4" },
  });
  assert.equal(patched.summary, "Review");
  assert.equal(patched.location, "Room 4");
  await google.events.delete({ calendarId: "primary", eventId });
  const error = await refused(410, google.events.delete({ calendarId: "primary", eventId }));
  assert.equal(error.errors[0].reason, "deleted");
});

check("an id of one's own is taken once", async () => {
  const requestBody = { ...meeting("Once"), id: "k2q6v0ldj5u3r8" };
  await google.events.insert({ calendarId: "primary", requestBody });
  const error = await refused(409, google.events.insert({ calendarId: "primary", requestBody }));
  assert.equal(error.errors[0].reason, "duplicate");
});

check("events are listed over all pages, and then only what changed", async () => {
  const ids = new Set();
  let pageToken;
  let syncToken;
  do {
    const { data } = await google.events.list({ calendarId: "primary", maxResults: 40, pageToken, showDeleted: true });
    data.items.forEach((item) => ids.add(item.id));
    pageToken = data.nextPageToken;
    syncToken = data.nextSyncToken;
  } while (pageToken);
  assert.ok(ids.size >= 150, String(ids.size));
  const { data: made } = await google.events.insert({ calendarId: "primary", requestBody: meeting("Later") });
  const { data } = await google.events.list({ calendarId: "primary", syncToken });
  assert.deepEqual(data.items.map((item) => item.id), [made.id]);
});

check("a series keeps its wall time over a change of the clock", async () => {
  const requestBody = {
    summary: "Weekly",
    start: { dateTime: "2026-03-20T09:00:00", timeZone: "Europe/Berlin" },
    end: { dateTime: "2026-03-20T10:00:00", timeZone: "Europe/Berlin" },
    recurrence: ["RRULE:FREQ=WEEKLY;COUNT=3"],
  };
  const { data: series } = await google.events.insert({ calendarId: "primary", requestBody });
  const { data } = await google.events.instances({ calendarId: "primary", eventId: series.id });
  assert.deepEqual(
    data.items.map((item) => item.start.dateTime),
    ["2026-03-20T09:00:00+01:00", "2026-03-27T09:00:00+01:00", "2026-04-03T09:00:00+02:00"],
  );
});

check("an event moves to another calendar", async () => {
  const { data: other } = await google.calendars.insert({ requestBody: { summary: "Elsewhere" } });
  const { data: made } = await google.events.insert({ calendarId: "primary", requestBody: meeting("Moves") });
  await google.events.move({ calendarId: "primary", eventId: made.id, destination: other.id });
  const { data } = await google.events.get({ calendarId: other.id, eventId: made.id });
  assert.equal(data.organizer.email, other.id);
});

check("rules of access are made and taken away", async () => {
  const requestBody = { role: "reader", scope: { type: "user", value: "grace@emulated.example" } };
  const { data: rule } = await google.acl.insert({ calendarId: "primary", requestBody });
  assert.equal(rule.id, "user:grace@emulated.example");
  await google.acl.delete({ calendarId: "primary", ruleId: rule.id });
});

check("busy times are told", async () => {
  const requestBody = { timeMin: "2026-05-01T00:00:00Z", timeMax: "2026-05-08T00:00:00Z", items: [{ id: "primary" }] };
  const { data } = await google.freebusy.query({ requestBody });
  assert.ok(Array.isArray(data.calendars.primary.busy));
});

check("settings are listed", async () => {
  const { data } = await google.settings.list();
  assert.ok(data.items.some((item) => item.id === "timezone"));
});

let failed = 0;
for (const [name, run] of checks) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error?.stack ?? error} ${JSON.stringify(error?.response?.data ?? "")}`);
  }
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
