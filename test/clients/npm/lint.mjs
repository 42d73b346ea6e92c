// node lint.mjs FILE: prints what redocly reports about a description, and fails for an error.
import { createConfig, lint } from "@redocly/openapi-core";

const config = await createConfig({ extends: ["recommended"] });
for (const problem of await lint({ ref: process.argv[2], config })) {
  console.log(problem.severity, problem.ruleId, problem.location[0]?.pointer, problem.message);
  if (problem.severity === "error") process.exitCode = 1;
}
