/** Parses a long keys file in a thread of its own: ten thousand entries take a second, in which requests go on. */
import { parentPort, workerData } from "node:worker_threads"
import { textTreeOf } from "../../config/TextTree.ts"
import { readYaml } from "../../config/YamlTree.ts"
import { mostNodes } from "./KeyEntry.ts"

const { root, problems } = readYaml(String(workerData), mostNodes)
parentPort?.postMessage(problems.length > 0 || root === undefined ? undefined : textTreeOf(root))
