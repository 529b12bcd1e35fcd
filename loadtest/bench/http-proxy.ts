/** The peer "@fastify/http-proxy as it comes": `node http-proxy.ts UPSTREAM PORT`. */
import httpProxy from "@fastify/http-proxy";
import Fastify from "fastify";

const [upstream = "", port = "0"] = process.argv.slice(2);
const fastify = Fastify({ logger: false });
await fastify.register(httpProxy, { upstream });
await fastify.listen({ host: "127.0.0.1", port: Number(port) });
