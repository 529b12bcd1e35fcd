/** How plans and their parameters are named in requests. */
import { Type } from "typebox";

const strict = { additionalProperties: false };
export const PlanName = Type.String({ pattern: "^[a-z0-9][a-z0-9._-]{0,62}$" });
export const Values = Type.Record(
  Type.String({ pattern: "^[a-z0-9][a-z0-9._-]{0,62}$" }),
  Type.String({ maxLength: 1000 }),
  strict,
);
