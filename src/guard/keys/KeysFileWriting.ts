/**
 * Changes to the keys file: one after the other, whole, comments and order kept. Written beside it and put into its place, so that whoever
 * reads it meets the old file or the new one.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { dirname } from "node:path"
import { type Document, parseDocument } from "yaml"
import { codeOf, isMissing } from "../../config/FileReason.ts"

/** Milliseconds that somebody else's change is waited for, and after which a lock is taken to be left behind. */
const patience = 5_000
const abandoned = 30_000
/** Milliseconds between two looks. */
const lookEvery = 25

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return codeOf(cause) === "EPERM"
  }
}

/** Of a process that is gone, or so old that nobody writes that long. */
const isLeftBehind = (lock: string): boolean => {
  try {
    const pid = Number(readFileSync(lock, "utf8").trim())
    const { mtimeMs } = statSync(lock)
    // Between its creation and its first word there is no pid in it yet.
    if (!(pid > 0)) return Date.now() - mtimeMs > abandoned
    return !isAlive(pid) || Date.now() - mtimeMs > abandoned
  } catch {
    return false
  }
}

export class LockedError extends Error {}

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** Runs `change` while nobody else changes the file. Throws `LockedError`, and as `node:fs` does. */
const locked = async <A>(file: string, change: () => A): Promise<A> => {
  const lock = `${file}.lock`
  const until = performance.now() + patience
  for (;;) {
    try {
      const handle = openSync(lock, "wx", 0o600)
      try {
        writeSync(handle, `${process.pid}\n`)
      } finally {
        closeSync(handle)
      }
      break
    } catch (cause) {
      if (codeOf(cause) !== "EEXIST") throw cause
      if (isLeftBehind(lock)) {
        takeOver(lock)
        continue
      }
      if (performance.now() > until)
        throw new LockedError(`${file} is being changed by somebody else (${lock}); try again, or remove that file if nobody is`)
      await pause(lookEvery * (0.5 + Math.random()))
    }
  }
  try {
    return change()
  } finally {
    rmSync(lock, { force: true })
  }
}

/** Of several that find it left behind, one moves it away: a fresh lock of the quickest is not taken from it. */
const takeOver = (lock: string): void => {
  const aside = `${lock}.${process.pid}`
  try {
    renameSync(lock, aside)
    // Between the look and the move somebody may have made it anew.
    if (isLeftBehind(aside)) rmSync(aside, { force: true })
    else renameSync(aside, lock)
  } catch {
    // Another was quicker.
  }
}

export interface Written {
  /** The folder takes no new files, so it was written in place: not all at once. */
  readonly inPlace: boolean
}

const put = (file: string, text: string): Written => {
  let target = file
  let before: { readonly mode: number; readonly uid: number; readonly gid: number } | undefined
  try {
    target = realpathSync(file)
    before = statSync(target)
  } catch (cause) {
    if (!isMissing(cause)) throw cause
  }
  const temporary = `${target}.${process.pid}.new`
  try {
    const handle = openSync(temporary, "w", 0o600)
    try {
      writeFileSync(handle, text)
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
    if (before !== undefined) {
      chmodSync(temporary, before.mode & 0o7777)
      // Made by root it must stay readable for the daemon; who is not root keeps what he may.
      if (process.getuid?.() === 0) chownSync(temporary, before.uid, before.gid)
    }
    renameSync(temporary, target)
    syncFolder(dirname(target))
    return { inPlace: false }
  } catch (cause) {
    rmSync(temporary, { force: true })
    if (before === undefined || !/^(?:EBUSY|EXDEV|EACCES|EPERM|EROFS)$/.test(codeOf(cause))) throw cause
    writeFileSync(target, text)
    return { inPlace: true }
  }
}

const syncFolder = (folder: string): void => {
  try {
    const handle = openSync(folder, "r")
    try {
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
  } catch {
    // Some systems have no such thing.
  }
}

/** The file as a document whose comments stay; one that is not there is empty. Throws as `node:fs` does. */
export const openDocument = (file: string): Document => {
  let text = ""
  try {
    text = readFileSync(file, "utf8")
  } catch (cause) {
    if (!isMissing(cause)) throw cause
  }
  return parseDocument(text, { uniqueKeys: true, prettyErrors: false })
}

/** `change` gets the document and says whether it is to be written; what else it says comes back. */
export const changeFile = <A>(
  file: string,
  change: (document: Document) => { readonly write: boolean; readonly result: A }
): Promise<{ readonly result: A; readonly written: Written | undefined }> =>
  locked(file, () => {
    const document = openDocument(file)
    const { write, result } = change(document)
    return { result, written: write ? put(file, document.toString({ lineWidth: 0 })) : undefined }
  })
