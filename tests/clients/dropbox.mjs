// Drives the emulator with Dropbox's own package, unmodified but for a fetch that takes every host of the service to
// the emulator. The ready line of the emulator comes in RECORDPORT_READY; any failed assertion ends with a non-zero
// exit code.
import assert from "node:assert/strict";
import { Dropbox } from "dropbox";

const ready = JSON.parse(process.env.RECORDPORT_READY);
const account = ready.credentials.dropbox;

const here = async (address, init) => {
  const url = new URL(address);
  const response = await fetch(`${ready.http}${url.pathname}${url.search}`, init);
  // The package was made for a fetch whose answers have this.
  response.buffer = async () => Buffer.from(await response.arrayBuffer());
  return response;
};

const dropbox = new Dropbox({ accessToken: account.access_token, fetch: here });

const checks = [];
const check = (name, run) => checks.push([name, run]);

// The tag of an endpoint's error.
const refused = async (call) => {
  try {
    await call;
  } catch (error) {
    assert.equal(error.status, 409, String(error));
    return error.error.error;
  }
  assert.fail("this should have been refused");
};

check("the account is known", async () => {
  const { result } = await dropbox.usersGetCurrentAccount();
  assert.equal(result.account_id, account.account_id);
});

check("a token is renewed with the refresh token", async () => {
  const renewing = new Dropbox({
    fetch: here,
    clientId: account.client_id,
    clientSecret: account.client_secret,
    refreshToken: account.refresh_token,
  });
  await renewing.auth.refreshAccessToken();
  const { result } = await renewing.usersGetCurrentAccount();
  assert.equal(result.account_id, account.account_id);
});

check("a code with PKCE buys tokens", async () => {
  const auth = new Dropbox({ fetch: here, clientId: account.client_id }).auth;
  const address = await auth.getAuthenticationUrl(account.redirect_uri, "s1", "code", "offline", ["files.metadata.read"], "none", true);
  const page = await (await here(address)).text();
  const number = page.match(/name="request" value="([^"]+)"/)[1];
  const answer = await fetch(`${ready.http}/oauth2/authorize`, {
    method: "POST",
    redirect: "manual",
    body: new URLSearchParams({ request: number, decision: "allow" }),
  });
  const code = new URL(answer.headers.get("location")).searchParams.get("code");
  const { result } = await auth.getAccessTokenFromCode(account.redirect_uri, code);
  assert.match(result.access_token, /^sl\./);
  assert.ok(result.refresh_token);
});

check("a listing runs over all its pages", async () => {
  const ids = new Set();
  let { result } = await dropbox.filesListFolder({ path: "", recursive: true, limit: 2000 });
  for (;;) {
    result.entries.forEach((entry) => ids.add(entry.id));
    if (!result.has_more) break;
    ({ result } = await dropbox.filesListFolderContinue({ cursor: result.cursor }));
  }
  assert.equal(ids.size, 5060);
});

check("a file with a name beyond ASCII goes up and comes down", async () => {
  const path = "/クライアント/naïve 🚀.txt";
  const { result: file } = await dropbox.filesUpload({ path, contents: "content", mode: { ".tag": "add" } });
  assert.equal(file.path_display, path);
  const { result: back } = await dropbox.filesDownload({ path: file.id });
  assert.equal(back.fileBinary.toString(), "content");
  assert.equal(back.content_hash, file.content_hash);
  const error = await refused(dropbox.filesUpload({ path, contents: "other", mode: { ".tag": "update", update: "0123456789abcdef" } }));
  assert.equal(error.reason.conflict[".tag"], "file");
});

check("a session puts pieces together", async () => {
  const { result: session } = await dropbox.filesUploadSessionStart({ close: false, contents: "0123" });
  const cursor = (offset) => ({ session_id: session.session_id, offset });
  await dropbox.filesUploadSessionAppendV2({ cursor: cursor(4), close: false, contents: "45" });
  const error = await refused(dropbox.filesUploadSessionAppendV2({ cursor: cursor(0), close: false, contents: "x" }));
  assert.equal(error.correct_offset, 6);
  const { result: file } = await dropbox.filesUploadSessionFinish({ cursor: cursor(6), commit: { path: "/session.txt" }, contents: "6789" });
  assert.equal(file.size, 10);
});

check("folders are made, moved, copied and deleted", async () => {
  await dropbox.filesCreateFolderV2({ path: "/client/one" });
  await dropbox.filesMoveV2({ from_path: "/client/one", to_path: "/client/two" });
  await dropbox.filesCopyV2({ from_path: "/client/two", to_path: "/client/three" });
  const error = await refused(dropbox.filesCreateFolderV2({ path: "/client/three" }));
  assert.equal(error.path.conflict[".tag"], "folder");
  const { result } = await dropbox.filesDeleteV2({ path: "/client" });
  assert.equal(result.metadata[".tag"], "folder");
  assert.equal((await refused(dropbox.filesGetMetadata({ path: "/client" }))).path[".tag"], "not_found");
});

check("a batch is a job", async () => {
  await dropbox.filesUpload({ path: "/batch.txt", contents: "1" });
  const { result: job } = await dropbox.filesDeleteBatch({ entries: [{ path: "/batch.txt" }, { path: "/none.txt" }] });
  let state;
  do {
    ({ result: state } = await dropbox.filesDeleteBatchCheck({ async_job_id: job.async_job_id }));
  } while (state[".tag"] === "in_progress");
  assert.deepEqual(state.entries.map((entry) => entry[".tag"]), ["success", "failure"]);
});

check("changes are awaited and told", async () => {
  const { result: latest } = await dropbox.filesListFolderGetLatestCursor({ path: "", recursive: true });
  const polled = dropbox.filesListFolderLongpoll({ cursor: latest.cursor, timeout: 30 });
  await dropbox.filesUpload({ path: "/told.txt", contents: "1" });
  assert.equal((await polled).result.changes, true);
  const { result } = await dropbox.filesListFolderContinue({ cursor: latest.cursor });
  assert.deepEqual(result.entries.map((entry) => entry.path_lower), ["/told.txt"]);
});

check("words are found", async () => {
  const { result } = await dropbox.filesSearchV2({ query: "memo", options: { max_results: 5 } });
  assert.equal(result.matches.length, 5);
  const { result: next } = await dropbox.filesSearchContinueV2({ cursor: result.cursor });
  assert.equal(next.matches.length, 5);
});

check("revisions are listed and restored", async () => {
  const { result: first } = await dropbox.filesUpload({ path: "/revised.txt", contents: "1" });
  await dropbox.filesUpload({ path: "/revised.txt", contents: "2", mode: { ".tag": "overwrite" } });
  const { result } = await dropbox.filesListRevisions({ path: "/revised.txt" });
  assert.equal(result.entries.length, 2);
  const { result: back } = await dropbox.filesRestore({ path: "/revised.txt", rev: first.rev });
  assert.equal(back.content_hash, first.content_hash);
});

check("a link is shared once", async () => {
  const { result: link } = await dropbox.sharingCreateSharedLinkWithSettings({ path: "/revised.txt" });
  const error = await refused(dropbox.sharingCreateSharedLinkWithSettings({ path: "/revised.txt" }));
  assert.equal(error[".tag"], "shared_link_already_exists");
  const { result } = await dropbox.sharingListSharedLinks({ path: "/revised.txt" });
  assert.equal(result.links[0].url, link.url);
});

let failed = 0;
for (const [name, run] of checks) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error?.stack ?? error} ${JSON.stringify(error?.error ?? "")}`);
  }
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
