// Compiles every schema on stdin (one JSON object a line: {"name", "schema", "vocabulary"?}) with ajv, as strict
// as it can be; what ajv would only log is an error too. Prints how many passed; any failure is a line on stderr.
import { createInterface } from "node:readline";
import Ajv from "ajv";
import addFormats from "ajv-formats";

let passed = 0;
let failed = 0;

function compile({ name, schema, vocabulary, valid, invalid }) {
  const warnings = [];
  const log = (...words) => warnings.push(words.join(" "));
  const ajv = new Ajv({ strict: true, allErrors: true, logger: { log, warn: log, error: log } });
  addFormats(ajv);
  if (vocabulary) ajv.addVocabulary(vocabulary);
  const validate = ajv.compile(schema);
  if (warnings.length > 0) throw new Error(warnings.join("; "));
  for (const instance of valid ?? []) {
    if (!validate(instance)) throw new Error(`refuses ${JSON.stringify(instance)}: ${ajv.errorsText(validate.errors)}`);
  }
  for (const instance of invalid ?? []) {
    if (validate(instance)) throw new Error(`accepts ${JSON.stringify(instance)}`);
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (line === "") continue;
  const entry = JSON.parse(line);
  try {
    compile(entry);
    passed += 1;
  } catch (error) {
    failed += 1;
    console.error(`${entry.name}: ${error.message}`);
  }
}
console.log(`${passed} schemas passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
