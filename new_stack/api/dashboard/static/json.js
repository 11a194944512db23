// JSON as text: cut and laid out without parsing its values, so that 1.0 and numbers of twenty digits stay as they came.
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const INDENT = "  ";

/** The text of each member of an object, by name. */
export function members(text) {
  const found = {};
  let [depth, name, from] = [0, null, 0];
  for (const { 0: token, index } of text.matchAll(TOKENS)) {
    if (depth === 1 && (token === "," || token === "}") && name !== null) {
      found[name] = text.slice(from, index).trim();
      name = null;
    } else if (depth === 1 && token === ":") {
      from = index + 1;
    } else if (depth === 1 && name === null && token[0] === '"') {
      name = JSON.parse(token);
    }
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth -= 1;
  }
  return found;
}

/** The same JSON with a line for each member; `word` may write true, false and null as another language does. */
export function layOut(text, word = (token) => token) {
  let [depth, out, before] = [0, "", ""];
  for (const [token] of text.matchAll(TOKENS)) {
    const closes = token === "}" || token === "]";
    if (closes) depth -= 1;
    const empty = closes && (before === "{" || before === "[");
    if (before && !empty && (closes || before === "," || before === "{" || before === "[")) out += `\n${INDENT.repeat(depth)}`;
    out += token === ":" ? ": " : word(token);
    if (token === "{" || token === "[") depth += 1;
    before = token;
  }
  return out;
}

/** The same JSON as a Python expression. */
export const asPython = (text) => layOut(text, (token) => ({ true: "True", false: "False", null: "None" })[token] ?? token);

/** Why a text is no JSON object, or null. */
export function objectProblem(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? null : "It must be a JSON object.";
  } catch (error) {
    return `It is no JSON: ${error.message}.`;
  }
}
