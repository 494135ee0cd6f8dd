// Node's own https gets the version list over TLS with the emulator's certificate file, and is refused without it.
import assert from "node:assert/strict";
import fs from "node:fs";
import https from "node:https";

const ready = JSON.parse(process.env.RECORDPORT_READY);

const get = (options) =>
  new Promise((resolve, reject) => {
    https
      .get(`${ready.https}/services/data`, options, (answer) => {
        let text = "";
        answer.on("data", (chunk) => (text += chunk));
        answer.on("end", () => resolve({ status: answer.statusCode, body: JSON.parse(text) }));
      })
      .on("error", reject);
  });

const trusted = await get({ ca: fs.readFileSync(ready.ca_file) });
assert.equal(trusted.status, 200);
assert.ok(trusted.body.some((version) => version.version === "60.0"));
await assert.rejects(get({}), { code: /SELF_SIGNED|UNABLE_TO_VERIFY|DEPTH_ZERO/ });
console.log("ok");
