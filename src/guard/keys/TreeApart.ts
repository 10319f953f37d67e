/** The tree of a long keys file, parsed beside the event loop. */
import { extname } from "node:path"
import { Worker } from "node:worker_threads"
import type { TextTree } from "../../config/TextTree.ts"

/** Characters from which a thread costs less than what it saves the loop. */
const long = 64 * 1024

export const isLong = (text: string): boolean => text.length >= long

/** `undefined`: it has a mistake, which another reading tells with its place. */
export const treeApart = (text: string): Promise<TextTree | undefined> =>
  new Promise((resolve) => {
    const worker = new Worker(new URL(`./TreeWorker${extname(import.meta.filename)}`, import.meta.url), { workerData: text })
    worker.once("message", (tree: TextTree | undefined) => resolve(tree))
    worker.once("error", () => resolve(undefined))
    worker.once("exit", () => resolve(undefined))
  })
