// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Prints the schemas of zod and TypeBox in this directory, and one for each format of zod. Needs the packages zod 4.6.7,
// zod-to-json-schema 3 and @sinclair/typebox 0.34.52.

import { writeFileSync } from "node:fs";
import { z } from "zod";
import { z as z3 } from "zod/v3";
import { zodToJsonSchema } from "zod-to-json-schema";
import { Type } from "@sinclair/typebox";

const dump = (name, schema) => writeFileSync(name, JSON.stringify(schema, null, 2) + "\n");

const fields = (z) => ({
  id: z.string().uuid(),
  email: z.string().email(),
  at: z.string().datetime(),
  age: z.number().int().positive().optional(),
  ratio: z.number().gt(0).lt(1),
  note: z.string().max(20).nullable(),
  role: z.enum(["admin", "user"]),
  pet: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("cat"), lives: z.number().int().default(9) }),
    z.object({ kind: z.literal("dog"), breed: z.string() }),
  ]),
  size: z.union([z.number(), z.literal("auto")]),
  span: z.tuple([z.number(), z.string()]),
  scores: z.record(z.string(), z.number()),
  anything: z.any(),
});

const Category = z.object({
  name: z.string(),
  get children() { return z.array(Category); },
});

dump("zod.json", z.toJSONSchema(z.object({ ...fields(z), category: Category.optional() })));
dump("zod-input.json", z.toJSONSchema(z.looseObject({ ...fields(z) }), { io: "input" }));
dump("zod3.json", zodToJsonSchema(z3.object(fields(z3))));

const Pet = Type.Union([
  Type.Object({ kind: Type.Literal("cat"), lives: Type.Integer({ exclusiveMinimum: 0 }) }),
  Type.Object({ kind: Type.Literal("dog"), breed: Type.String() }),
]);
const Tree = Type.Recursive((This) => Type.Object({ name: Type.String(), children: Type.Array(This) }));
dump("typebox.json", Type.Object({
  pet: Pet,
  note: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  both: Type.Intersect([Type.Object({ a: Type.Number() }), Type.Object({ b: Type.Number() })]),
  span: Type.Tuple([Type.Number(), Type.String()]),
  scores: Type.Record(Type.String(), Type.Number()),
  path: Type.TemplateLiteral("/${0|1}/x"),
  tree: Type.Optional(Tree),
}, { $id: "https://example.com/order", title: "Order" }));
const Module = Type.Module({
  Item: Type.Object({ sku: Type.String(), next: Type.Optional(Type.Ref("Item")) }),
  Cart: Type.Object({ items: Type.Array(Type.Ref("Item")) }),
});
dump("typebox-module.json", Module.Import("Cart"));
const formats = {};
for (const [name, make] of Object.entries({ email: z.email, uuid: z.uuid, guid: z.guid, url: z.url, datetime: z.iso.datetime, date: z.iso.date, time: z.iso.time, duration: z.iso.duration,
  ipv4: z.ipv4, ipv6: z.ipv6, cidrv4: z.cidrv4, cidrv6: z.cidrv6, base64: z.base64, base64url: z.base64url, jwt: z.jwt, nanoid: z.nanoid, cuid: z.cuid, cuid2: z.cuid2, ulid: z.ulid,
  xid: z.xid, ksuid: z.ksuid, emoji: z.emoji, e164: z.e164, hostname: z.hostname, hex: z.hex, int32: z.int32, uint32: z.uint32, float64: z.float64 })) formats[name] = z.toJSONSchema(make());
dump("../zod-formats.json", formats);
