// The emulated $metadata against OASIS' own schemas of CSDL, which come with the package odata-csdl.
import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { validateXML } from "xmllint-wasm";

const folder = path.dirname(createRequire(import.meta.url).resolve("odata-csdl/package.json"));
const file = (name) => ({ fileName: name, contents: fs.readFileSync(path.join(folder, "schemas", name), "utf8") });
const schemas = { schema: file("edmx.xsd"), preload: file("edm.xsd") };
const problems = async (contents) => (await validateXML({ xml: { fileName: "metadata.xml", contents }, ...schemas })).errors;

const ready = JSON.parse(process.env.RECORDPORT_READY);
const headers = { authorization: `Bearer ${ready.credentials.dynamics.access_token}` };
for (const query of ["", "?annotations=true"]) {
  const answer = await fetch(`${ready.http}/api/data/v9.2/$metadata${query}`, { headers });
  assert.equal(answer.status, 200);
  const text = await answer.text();
  // Dataverse writes it so; the schema has it in lower case.
  const scales = text.match(/ Scale="Variable"/g) ?? [];
  assert.ok(scales.length > 0, "decimals have a variable scale");
  assert.deepEqual(await problems(text.replaceAll(' Scale="Variable"', "")), []);
}

// The schemas would notice.
const answer = await fetch(`${ready.http}/api/data/v9.2/$metadata`, { headers });
const broken = (await answer.text()).replace('<Property Name="name"', '<Property Nome="name"');
assert.notDeepEqual(await problems(broken.replaceAll(' Scale="Variable"', "")), []);
console.log("valid");
