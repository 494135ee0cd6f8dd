// What `make bench` runs for comparison: jsforce reading all records, or creating rows, as its users write it.
import assert from "node:assert/strict";
import fs from "node:fs";
import jsforce from "jsforce";

const [what, address, more] = process.argv.slice(2);
const connection = new jsforce.Connection({ instanceUrl: address, accessToken: "00Dbench!token", version: "60.0" });

if (what === "search") {
  const total = Number(more);
  let count = 0;
  const query = connection.query("SELECT Id FROM Account");
  query.on("record", () => (count += 1));
  // Without maxFetch it stops after 10,000 records.
  await query.run({ autoFetch: true, maxFetch: total + 1 });
  assert.equal(count, total);
} else {
  const rows = fs.readFileSync(more, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
  const results = await connection.sobject("Account").create(rows, { allowRecursive: true });
  assert.equal(results.filter((result) => result.success).length, rows.length);
}
