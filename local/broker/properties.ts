import { type Typed, readList, readMap, string, symbol, unwrap, wrap, writeList, writeMap } from "./codec.ts";
import { type MessageSections } from "./messages.ts";
import { sectionCode } from "./sections.ts";

/** The system properties that rules may test and set, with their place in the properties section. */
const propertyFields = {
  messageId: 0,
  to: 2,
  label: 3,
  replyTo: 4,
  correlationId: 5,
  contentType: 6,
  sessionId: 10,
  replyToSessionId: 12,
} as const;

export type SystemProperty = keyof typeof propertyFields;
export const systemProperties = Object.keys(propertyFields) as readonly SystemProperty[];
const contentTypeField = propertyFields.contentType;

/** What a rule looks at. */
export interface MessageProperties {
  readonly system: Readonly<Partial<Record<SystemProperty, unknown>>>;
  readonly application: ReadonlyMap<string, unknown>;
}

export function propertiesOf(sections: MessageSections): MessageProperties {
  const fields = readList(sections.properties);
  const system: Partial<Record<SystemProperty, unknown>> = {};
  for (const name of systemProperties) system[name] = fields[propertyFields[name]]?.value ?? undefined;
  const application = new Map(readMap(sections.applicationProperties).map(([key, value]) => [String(key.value), unwrap(value)]));
  return { system, application };
}

/** Sets (or, with undefined, removes) application properties; the others keep their bytes' types. */
export function withApplicationProperties(sections: MessageSections, changes: Readonly<Record<string, unknown>>): MessageSections {
  if (Object.keys(changes).length === 0) return sections;
  const pairs = readMap(sections.applicationProperties).filter(([key]) => !(String(key.value) in changes));
  for (const [name, value] of Object.entries(changes)) {
    if (value !== undefined) pairs.push([string(name), wrap(value)]);
  }
  return { ...sections, applicationProperties: writeMap(sectionCode.applicationProperties, pairs) };
}

/** Sets (or, with undefined, removes) one system property. */
export function withSystemProperty(sections: MessageSections, name: SystemProperty, value: string | undefined): MessageSections {
  const fields: (Typed | undefined)[] = Array.from(readList(sections.properties));
  const field = propertyFields[name];
  while (fields.length <= field) fields.push(undefined);
  fields[field] = value === undefined ? undefined : field === contentTypeField ? symbol(value) : string(value);
  return { ...sections, properties: writeList(sectionCode.properties, fields) };
}
