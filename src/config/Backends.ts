/**
 * Backends that stand in no file: `--backend` on the command line, `OLLA_BACKENDS`, or what was found on this machine. They come
 * behind the file's own and take the built-in one's place.
 */
export interface NamedBackend {
  readonly url: string
  /** A profile's name or prefix, or `auto`. */
  readonly type: string
  /** Who named it, for messages and `config show`: `--backend`, `OLLA_BACKENDS`, … */
  readonly origin: string
}

/** A word of this form is a type; whatever else stands in a list is an address. */
const typeWord = /^[a-z][\w-]*$/i

/**
 * `URL[,type]`, or several of them in one text. An address may leave `http://` out, as people write `gpu-1:8000`; what is
 * wrong with it is said where all endpoints are judged.
 */
export const parseBackends = (text: string, origin: string): ReadonlyArray<NamedBackend> => {
  const backends: Array<NamedBackend> = []
  for (const word of text.split(",").map((each) => each.trim())) {
    const last = backends.at(-1)
    if (word === "") continue
    if (typeWord.test(word) && last !== undefined && last.type === "auto") backends[backends.length - 1] = { ...last, type: word }
    else backends.push({ url: word.includes("://") ? word : `http://${word}`, type: "auto", origin })
  }
  return backends
}

const bare = (url: unknown): string => (typeof url === "string" ? url.replace(/\/+$/, "") : "")

/** Each once, and none that `written`, the file's own entries, has with more to say. */
export const notIn = (
  written: ReadonlyArray<{ readonly url?: unknown }>,
  backends: ReadonlyArray<NamedBackend>
): ReadonlyArray<NamedBackend> => {
  const known = new Set(written.map(({ url }) => bare(url)))
  return backends.filter(({ url }) => {
    const isNew = !known.has(bare(url))
    known.add(bare(url))
    return isNew
  })
}
