/** From a built document to the one that is sent: exactly what its Schema knows. */
import * as Schema from "effect/Schema"

export type DocumentSchema = Schema.Codec<unknown, unknown>

const encoders = new WeakMap<object, (value: unknown) => unknown>()

/** A value that does not fit is a fault of Olla's and throws: the request ends in a 500 and a line in the log. */
export const encodeDocument = <S extends DocumentSchema>(schema: S, value: S["Type"]): S["Encoded"] => {
  let encode = encoders.get(schema)
  if (encode === undefined) {
    encode = Schema.encodeUnknownSync(schema)
    encoders.set(schema, encode)
  }
  return encode(value) as S["Encoded"]
}
