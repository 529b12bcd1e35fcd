/**
 * Schemas compiled when they are first asked about: a control plane has some hundred of them, most of which nobody asks about
 * for days, and compiling them all is a third of the work of its start.
 */
import { AjvCompiler } from "@fastify/ajv-compiler";
import { SerializerSelector } from "@fastify/fast-json-stringify-compiler";

interface Check {
  (data: unknown): boolean;
  errors?: unknown;
}
type Write = (data: unknown) => string;
type Build<F> = (externals: unknown, options: unknown) => (route: unknown) => F;

const buildValidator = AjvCompiler() as Build<Check>;
const buildSerializer = SerializerSelector() as Build<Write>;

/** For Fastify's `schemaController`. */
export const lazySchemas = {
  compilersFactory: {
    buildValidator: (externals: unknown, options: unknown): ((route: unknown) => Check) => {
      const compile = buildValidator(externals, options);
      return (route) => {
        let made: Check | undefined;
        const check: Check = (data) => {
          made ??= compile(route);
          const isGood = made(data);
          check.errors = made.errors;
          return isGood;
        };
        return check;
      };
    },
    buildSerializer: (externals: unknown, options: unknown): ((route: unknown) => Write) => {
      const compile = buildSerializer(externals, options);
      return (route) => {
        let made: Write | undefined;
        return (data) => {
          made ??= compile(route);
          return made(data);
        };
      };
    },
  },
};
