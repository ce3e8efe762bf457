/** The page of the API: reads openapi.json from its own server and shows it. Text is set as text, never as HTML. */

const METHODS = ["get", "put", "post", "delete", "patch"];

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== undefined && child !== ""));
  return made;
}

/** Turns `code` in the document's prose into code. */
function prose(text, attributes) {
  const parts = (text ?? "").split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
  return element("p", attributes, ...parts);
}

const json = (value) => element("pre", { tabindex: "0" }, element("code", {}, JSON.stringify(value, null, 2)));

function followed(api, value) {
  if (!value?.$ref) return value;
  return value.$ref
    .slice(2)
    .split("/")
    .reduce((at, key) => at[key], api);
}

function typeOf(api, schema) {
  if (!schema) return "";
  if (schema.oneOf) return schema.oneOf.map((one) => typeOf(api, one)).join(" or ");
  const name = schema.$ref?.split("/").pop();
  const found = followed(api, schema);
  if (found.type === "array") return `array of ${typeOf(api, found.items)}`;
  return name && found.type === "object" ? name : [found.type].flat().join(" or ");
}

function row(name, ...cells) {
  return element("tr", {}, element("td", {}, element("code", {}, name)), element("td", {}, ...cells));
}

function fields(api, schema) {
  const found = followed(api, schema?.oneOf?.[0] ?? schema);
  const rows = Object.entries(found?.properties ?? {}).map(([name, property]) => {
    const optional = found.required?.includes(name) ? "" : ", optional";
    const values = followed(api, property).enum?.join(", ");
    const notes = [property.description ?? followed(api, property).description, values && `One of ${values}.`];
    return row(name, `${typeOf(api, property)}${optional}`, prose(notes.filter(Boolean).join(" "), { class: "soft" }));
  });
  return rows.length ? [element("table", {}, ...rows)] : [];
}

function content(api, title, described) {
  const media = Object.values(described?.content ?? {})[0];
  if (!media) return [];
  const example = media.example === undefined ? [] : [json(media.example)];
  return [element("h3", {}, title), ...fields(api, media.schema), ...example];
}

function curl(path, method, operation, example) {
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${location.origin}${path.replace("{room}", "agent:7")}'`];
  if (!operation.security?.some((way) => Object.keys(way).length === 0)) lines.push(`-H "Authorization: Bearer $TOKEN"`);
  if (example !== undefined) lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(example)}'`);
  return element("pre", { tabindex: "0" }, element("code", {}, lines.join(" \\\n  ")));
}

function call(api, path, method, item) {
  const operation = item[method];
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((one) => followed(api, one));
  const answers = Object.entries(operation.responses).map(([status, one]) => row(status, prose(followed(api, one).description)));
  const body = operation.requestBody;
  const example = Object.values(body?.content ?? {})[0]?.example;
  return element(
    "details",
    { id: operation.operationId },
    element(
      "summary",
      {},
      element("span", { class: `method ${method}` }, method),
      element("code", {}, path),
      element("span", {}, operation.summary ?? ""),
    ),
    element(
      "div",
      { class: "body" },
      ...(operation.description ? [prose(operation.description)] : []),
      ...(parameters.length ? [element("h3", {}, "Parameters")] : []),
      element("table", {}, ...parameters.map((one) => row(one.name, typeOf(api, one.schema), prose(one.description, { class: "soft" })))),
      ...content(api, "Body", body),
      ...content(api, "Answer", followed(api, operation.responses["200"])),
      element("h3", {}, "Answers by status"),
      element("table", {}, ...answers),
      element("h3", {}, "By hand"),
      curl(path, method, operation, example),
    ),
  );
}

function show(api) {
  const calls = Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, item })),
  );
  const sections = api.tags.flatMap((tag) => [
    element("h2", {}, tag.name),
    prose(tag.description, { class: "soft" }),
    ...calls
      .filter(({ method, item }) => item[method].tags?.includes(tag.name))
      .map(({ path, method, item }) => call(api, path, method, item)),
  ]);
  const schemes = Object.entries(api.components.securitySchemes).map(([name, scheme]) =>
    row(scheme.name ?? name, prose(scheme.description)),
  );
  return [
    element("h1", {}, `${api.info.title} ${api.info.version}`),
    prose(api.info.summary),
    prose(api.info.description, { class: "soft" }),
    element("p", {}, element("a", { href: "openapi.json" }, "openapi.json")),
    element("h2", {}, "Who calls"),
    element("table", {}, ...schemes),
    ...sections,
  ];
}

const page = document.getElementById("page");
try {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  page.replaceChildren(...show(await answer.json()));
  if (location.hash) document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
} catch (error) {
  page.replaceChildren(element("p", {}, `openapi.json could not be read: ${error.message}`));
}
