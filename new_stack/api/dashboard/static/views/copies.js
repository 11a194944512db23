// A job to be submitted once more: as a request, as a command and as a program.
import { asPython, layOut } from "../json.js";

const OWN_FIELDS = ["requirements", "customer_id", "workflow_id", "workflow_priority", "workflow_datetime", "step_number"];

/** The body that submits the same job again. `parts` are the texts of the job's members, as the server sent them. */
export function bodyOf(parts, changes = {}) {
  const kept = { service_required: parts.service_required, priority: parts.priority, max_retries: parts.max_retries };
  if (parts.retry_policy && parts.retry_policy !== "null") kept.retry_policy = parts.retry_policy;
  const all = { ...kept, ...extraOf(parts), payload: parts.payload ?? "{}", ...changes };
  return `{${Object.entries(all).map(([name, text]) => `${JSON.stringify(name)}: ${text}`).join(", ")}}`;
}

function extraOf(parts) {
  if (!parts.extra || parts.extra === "null") return {};
  return parts.extraMembers;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function asCurl(parts, tokenRequired) {
  const token = tokenRequired ? ` \\\n  -H "Authorization: Bearer $HUBGATE_TOKEN"` : "";
  return `curl -s ${quoted(`${location.origin}/api/jobs`)} \\\n  -H 'Content-Type: application/json'${token} \\\n  -d ${quoted(bodyOf(parts))}`;
}

export function asProgram(parts, tokenRequired) {
  const own = Object.entries(extraOf(parts));
  const named = own.filter(([name]) => OWN_FIELDS.includes(name)).map(([name, text]) => [name, asPython(text)]);
  const others = own.filter(([name]) => !OWN_FIELDS.includes(name));
  const given = [
    ["priority", parts.priority],
    ["max_retries", parts.max_retries],
    ...named,
    ...(others.length ? [["extra", asPython(`{${others.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`)]] : []),
  ];
  const args = [asPython(parts.service_required), asPython(parts.payload ?? "{}"), ...given.map(([name, text]) => `${name}=${text}`)];
  const indented = args.map((text) => `            ${text.replaceAll("\n", "\n            ")},`).join("\n");
  const token = tokenRequired ? `, token=os.environ["HUBGATE_TOKEN"]` : "";
  return `import asyncio
${tokenRequired ? "import os\n" : ""}
from hubgate import Client


async def main() -> None:
    async with Client(${JSON.stringify(location.origin)}${token}) as client:
        job = await client.submit(
${indented}
        )
        print(await client.wait(job.job_id))


asyncio.run(main())
`;
}

export const layOutPayload = (parts) => layOut(parts.payload ?? "{}");
