/**
 * Properties draw the same examples on every run, so that a failing suite always means a change of ours.
 * `PROPERTY_SEED=random npm test` explores: fast-check prints the seed and path of what it finds.
 */
import fc from "fast-check"

const wished = process.env["PROPERTY_SEED"] ?? "1"
if (wished !== "random") fc.configureGlobal({ seed: Number(wished) })
