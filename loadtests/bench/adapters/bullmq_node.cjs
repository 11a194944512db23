// BullMQ in Node, the roles of roles.py: node bullmq_node.cjs FOLDER work|paced|each|bulk URL …
// FOLDER has BullMQ in its node_modules. hrtime and Python's monotonic clock are the same clock.
"use strict";
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const [folder, role, url, ...rest] = process.argv.slice(2);
const { Queue, Worker } = createRequire(path.join(folder, "package.json"))("bullmq");
const { hostname: host, port, pathname } = new URL(url);
const connection = { host, port: Number(port), db: Number(pathname.slice(1) || 0), maxRetriesPerRequest: null };
const now = () => Number(process.hrtime.bigint()) / 1e9;
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, Math.max(0, seconds * 1000)));
const exists = (file) => fs.existsSync(file);

async function work(starts) {
  fs.writeFileSync(path.join(starts, `${process.pid}.ready`), "");
  while (!exists(path.join(starts, "go"))) await sleep(0.005);
  const file = fs.openSync(path.join(starts, `${process.pid}.starts`), "a");
  const note = async (job) => { fs.writeSync(file, `${job.id} ${now().toFixed(7)}\n`); };
  new Worker("bench", note, { connection, concurrency: 10 });
}

async function paced(queue, count, every) {
  const called = [];
  let due = now();
  for (let index = 0; index < count; index += 1) {
    due += every;
    await sleep(due - now());
    const began = now();
    called.push([(await queue.add("bench", {})).id, began]);
  }
  return called;
}

async function each(queue, count) {
  const began = now();
  for (let index = 0; index < count; index += 1) await queue.add("bench", {});
  return now() - began;
}

async function bulk(queue, count) {
  const began = now();
  const jobs = Array.from({ length: 1000 }, () => ({ name: "bench", data: {} }));
  for (let index = 0; index < Math.floor(count / 1000); index += 1) await queue.addBulk(jobs);
  return now() - began;
}

async function submit() {
  const queue = new Queue("bench", { connection });
  await queue.waitUntilReady();
  const said = await { paced, each, bulk }[role](queue, Number(rest[0]), Number(rest[1]));
  process.stdout.write(JSON.stringify(said));
  await queue.close();
}

setTimeout(() => process.exit(1), 120000).unref();
(role === "work" ? work(rest[0]) : submit()).catch((error) => {
  process.stderr.write(`${error}\n`);
  process.exit(1);
});
