// fauxqs' own command line listens on all interfaces; this listens on loopback alone.
import { buildApp } from "fauxqs";

const port = Number(process.argv[2]);
const app = buildApp({ logger: false, defaultRegion: "eu-west-1" });
await app.listen({ host: "127.0.0.1", port });
