import { type Static, type TEnum, type TObject, type TProperties, type TSchema, type TUnsafe, Type } from 'typebox'

/*
 * The words in which the `schema.ts` of each command describes what `-o json` prints. Types of builders (`Json`), the
 * tables of `docs/json.md` and the checks of tests follow from these schemas. Builders import the types alone, so that
 * the command loads neither a schema nor typebox.
 */

export const text = Type.String()
export const integer = Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER })
export const number = Type.Number()
export const flag = Type.Boolean()
/** RFC 3339, UTC, milliseconds. */
export const time = Type.String({ format: 'date-time', pattern: String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$` })
/** Anything but null. */
export const anything = Type.Unsafe<unknown>({ not: { type: 'null' } })
export const listOf = <S extends TSchema>(of: S) => Type.Array(of)
/** An object with any names. */
export const mapOf = <S extends TSchema>(of: S) => Type.Record(Type.String(), of)
export const oneOf = <Values extends string[]>(...values: readonly [...Values]): TEnum<Values> => Type.Enum(values)
/** One of the names of a table of codes. */
export const oneOfKeys = <Table extends object>(table: Table): TUnsafe<keyof Table & string> =>
  Type.Unsafe({ enum: Object.keys(table) })
/** One of these names, which the program has as text: the compiler does not know them, tests check them. */
export const oneOfNames = (...values: readonly string[]): TUnsafe<string> => Type.Unsafe({ enum: values })

/** An object with these fields and no others. `name` is what `docs/json.md` calls it. */
export const objectOf = <Fields extends TProperties>(name: string, fields: Fields): TObject<Fields> =>
  Type.Object(fields, { title: name, additionalProperties: false })
export const required = <S extends TSchema>(schema: S, meaning: string): S => ({ ...schema, description: meaning })
/** May be absent; it is never null. */
export const optional = <S extends TSchema>(schema: S, meaning: string) => Type.Optional(required(schema, meaning))

/** What a builder of a schema's value returns. An optional field may be undefined, which JSON leaves out. */
export type Json<S extends TSchema> = Written<Static<S>>

/** The same for a whole document, without the `apiVersion`, which `writeDocument` puts first. */
export type DocumentJson<S extends TSchema> = Omit<Json<S>, 'apiVersion'>

/** The same for fields that several objects have. */
export type FieldsJson<Fields extends TProperties> = Json<TObject<Fields>>

type Written<T> = T extends readonly (infer Item)[]
  ? readonly Written<Item>[]
  : T extends object
    ? { readonly [Name in keyof T]: Written<T[Name]> | (object extends Pick<T, Name> ? undefined : never) }
    : T

/** The fields that every document begins with. */
export const documentHead = <Kind extends string>(kind: Kind) => ({
  apiVersion: required(
    oneOf('pointsman/v1'),
    'changes when a field loses or changes its meaning, not when one is added',
  ),
  kind: required(oneOf(kind), 'what the document is'),
})

export const point = objectOf('Point', {
  seq: required(integer, 'the last record that the answer holds; 0 in an empty log'),
  time: optional(time, 'when that record was observed'),
})
export type PointJson = Json<typeof point>

export const requester = objectOf('Requester', {
  user: required(text, 'the user that the request was made as'),
  groups: optional(listOf(text), 'the groups of the user'),
  userAgent: optional(text, 'what the client called itself'),
  sourceIPs: optional(listOf(text), 'the address of the client, and of the proxies on the way'),
  impersonatedBy: optional(text, 'the user who impersonated `user`'),
})

export const author = objectOf('Author', {
  manager: required(text, 'the field manager that made the change'),
  operation: required(text, '`Update` or `Apply`'),
  time: optional(time, 'when, by the API server; whole seconds'),
  subresource: optional(text, 'the subresource that the change came through'),
  requester: optional(requester, 'who sent the request; only of a record from an API audit log'),
})
export type AuthorJson = Json<typeof author>

export const refusedServicePort = objectOf('RefusedServicePort', {
  servicePort: required(text, 'namespace/name:port/protocol/family'),
  code: required(text, 'why, for a script: a code of the rule system, or UNKNOWN where no rules could be planned'),
  message: required(text, 'why, for a person'),
})
export type RefusedServicePortJson = Json<typeof refusedServicePort>

/** What a dataplane's `RuleTool.fields` hold. */
export type ToolJson = { readonly variant?: 'nft' | 'legacy'; readonly iptables?: string; readonly nft?: string }
