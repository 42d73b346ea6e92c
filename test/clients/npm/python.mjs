// node python.mjs FILE SCHEMA...: prints Python classes for schemas of a description.
import { readFileSync } from "node:fs";
import { InputData, JSONSchemaInput, quicktype } from "quicktype-core";

const [file, ...schemas] = process.argv.slice(2);
const source = new JSONSchemaInput(undefined);
await source.addSource({ name: "openapi", uris: schemas.map((name) => `#/components/schemas/${name}`), schema: readFileSync(file, "utf8") });
const inputData = new InputData();
inputData.addInput(source);
const { lines } = await quicktype({ inputData, lang: "python" });
console.log(lines.join("\n"));
