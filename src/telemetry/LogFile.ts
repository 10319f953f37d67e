/**
 * `olla.log` with rotation. Lines are appended synchronously in the sink's batches, so none is
 * lost at exit; compressing and pruning what was rotated happens in the background.
 */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync
} from "node:fs"
import { dirname, join, resolve } from "node:path"
import { pipeline } from "node:stream/promises"
import { createGzip } from "node:zlib"
import type { FileSettings } from "./LogDecision.ts"

const day = 24 * 3_600_000
const name = "olla.log"
const newline = 0x0a
const rotated = /^olla-(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d\.\d{3})(?:-\d+)?\.log(?:\.gz)?$/

/** `2026-03-04T05-06-07.089`, UTC. */
const fileStamp = (at: Date): string => at.toISOString().slice(0, -1).replaceAll(":", "-")

/** When a file was rotated, by its name: copying and compressing make it no younger. Epoch milliseconds. */
const rotatedAt = (file: string): number => {
  const [, date = "", hour = "", minute = "", second = ""] = rotated.exec(file) ?? []
  return Date.parse(`${date}T${hour}:${minute}:${second}Z`)
}

/** Not `recursive`: where nothing can be made (/proc), the runtime would try for ever. */
const makeFolder = (folder: string): void => {
  if (existsSync(folder)) return
  if (dirname(folder) !== folder) makeFolder(dirname(folder))
  mkdirSync(folder, { mode: 0o755 })
}

export class LogFile {
  readonly #settings: FileSettings
  readonly #now: () => Date
  readonly #write: (to: number, bytes: Buffer) => number
  #descriptor: number
  #size: number
  /** The last line is not whole: the disk was full in the middle of it. */
  #torn = false
  #background: Promise<void> = Promise.resolve()

  /** Throws when the folder cannot be made or the file not opened. `write` says how many of the bytes it took. */
  constructor(settings: FileSettings, now: () => Date = () => new Date(), write: (to: number, bytes: Buffer) => number = writeSync) {
    this.#settings = settings
    this.#write = write
    this.#now = now
    makeFolder(resolve(settings.folder))
    this.#descriptor = this.#open()
    this.#size = fstatSync(this.#descriptor).size
  }

  get path(): string {
    return join(this.#settings.folder, name)
  }

  #open(): number {
    return openSync(this.path, "a", 0o600)
  }

  /** Whole lines, each with its newline. Throws what the file system throws. */
  write(lines: string): void {
    const size = Buffer.byteLength(lines)
    if (this.#size + size <= this.#settings.maxSize) {
      this.#append(lines, size)
      return
    }
    for (const line of lines.split(/(?<=\n)/)) {
      const length = Buffer.byteLength(line)
      if (this.#size > 0 && this.#size + length > this.#settings.maxSize) this.#rotate()
      this.#append(line, length)
    }
  }

  #append(text: string, size: number): void {
    const bytes = Buffer.from(this.#torn ? `\n${text}` : text)
    let at = 0
    try {
      while (at < bytes.length) at += this.#write(this.#descriptor, bytes.subarray(at))
      this.#torn = false
    } finally {
      if (at > 0 && at < bytes.length) this.#torn = bytes[at - 1] !== newline
      this.#size += at < bytes.length ? at : size
    }
  }

  /** Whatever fails, the file that was written so far stays the one that is written. */
  #rotate(): void {
    const stamp = fileStamp(this.#now())
    const base = join(this.#settings.folder, `olla-${stamp}`)
    let target = `${base}.log`
    for (let n = 1; existsSync(target) || existsSync(`${target}.gz`); n++) target = `${base}-${n}.log`
    const moved = this.#move(target)
    const next = this.#open()
    closeSync(this.#descriptor)
    this.#descriptor = next
    this.#size = 0
    if (!moved) return
    this.#background = this.#background.then(() => this.#settle(target)).catch(() => {})
  }

  /** False: somebody has taken the file away, or the whole folder, which is made again. */
  #move(target: string): boolean {
    try {
      renameSync(this.path, target)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
      makeFolder(resolve(this.#settings.folder))
      return false
    }
  }

  async #settle(file: string): Promise<void> {
    await pipeline(createReadStream(file), createGzip(), createWriteStream(`${file}.gz`, { mode: 0o600 }))
    rmSync(file, { force: true })
    this.#prune()
  }

  /** By count and by age, whichever says so; the stamp in the name is the age. */
  #prune(): void {
    const { folder, maxBackups, maxAge } = this.#settings
    const files = readdirSync(folder)
      .filter((file) => rotated.test(file))
      .sort()
      .reverse()
    const oldest = this.#now().getTime() - maxAge * day
    for (const [index, file] of files.entries()) {
      const path = join(folder, file)
      const tooMany = maxBackups > 0 && index >= maxBackups
      if (tooMany || (maxAge > 0 && rotatedAt(file) < oldest)) rmSync(path, { force: true })
    }
  }

  /** Rotated files are compressed and pruned. */
  settled(): Promise<void> {
    return this.#background
  }

  close(): void {
    closeSync(this.#descriptor)
  }
}
