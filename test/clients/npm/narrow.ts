// What openapi-typescript generates is precise enough for these functions to compile.
import type { components, paths } from "./openapi";

type Schemas = components["schemas"];
type JSONOf<T> = T extends { content: { "application/json": infer Body } } ? Body : never;

type Echo = JSONOf<paths["/v1/processes/echo/{processId}"]["get"]["responses"][200]>;

// The state selects the type: no property may be undefined.
export function narrows(p: Echo): Schemas["EchoOutput"] | Schemas["ErrorCode"] | Schemas["EchoInput"] {
  // @ts-expect-error a process has an output only if it is complete
  p.output;
  switch (p.state) {
    case "complete":
      return p.output;
    case "error":
      // @ts-expect-error a failed process has no output
      p.output;
      return p.errorCode;
    case "processing":
      // @ts-expect-error a process has an errorCode only if it failed
      p.errorCode;
      return p.input;
  }
}

// The same holds for a process of any type, and for the reasons of a refusal.
export function narrowsAny(p: Schemas["Process"]): object {
  return p.state === "complete" ? p.output : p.input;
}
export function reason(r: JSONOf<paths["/v1/processes/ocr"]["post"]["responses"][480]>): "missing" | "other" {
  return r.errorCode === "MissingInput" ? "missing" : "other";
}

// An open object takes any property.
export const open: Schemas["EchoInput"] = { hello: "world", echo: { seconds: 1 } };

// A type's own input is required, with the types of its schema.
type Submission<Path extends "/v1/processes/ocr" | "/v1/processes/order"> = paths[Path]["post"]["requestBody"]["content"]["application/json"];
export const page: Submission<"/v1/processes/ocr"> = { input: { source: { data: "" } } };
// @ts-expect-error source is required
export const empty: Submission<"/v1/processes/ocr"> = { input: {} };

// The schema that pydantic printed: a union, an optional model, a recursive one.
export const order: Submission<"/v1/processes/order"> = {
  input: {
    number: 1,
    address: { street: "Main", zip: null },
    billing: null,
    payment: { kind: "card", number: "1" },
    tree: { name: "root", children: [{ name: "leaf", children: [] }] },
    id: "a",
    tags: { a: "b" },
  },
};
export function paid(payment: Schemas["OrderInput"]["payment"]): string {
  return payment.kind === "card" ? payment.number : payment.iban;
}
