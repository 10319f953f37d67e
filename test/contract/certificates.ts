/** Certificates that are made for a test, by the system's openssl. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"

export interface Made {
  readonly cert: string
  readonly key: string
}

const openssl = (folder: string, ...args: ReadonlyArray<string>): void => void execFileSync("openssl", args, { cwd: folder, stdio: "pipe" })

/** Signed by itself; for these DNS names and 127.0.0.1. Files `<name>.pem` and `<name>.key`. */
export const selfSigned = (folder: string, name: string, names: ReadonlyArray<string>, days = 30): Made => {
  const alternatives = [...names.map((each) => `DNS:${each}`), "IP:127.0.0.1"].join(",")
  openssl(
    folder,
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", String(days)],
    ...["-subj", `/CN=${names[0]}`, "-addext", `subjectAltName=${alternatives}`, "-keyout", `${name}.key`, "-out", `${name}.pem`]
  )
  return { cert: readFileSync(join(folder, `${name}.pem`), "utf8"), key: readFileSync(join(folder, `${name}.key`), "utf8") }
}

/** A client's, signed by `authority`, which `selfSigned` made. */
export const signedBy = (folder: string, authority: string, name: string): Made => {
  openssl(
    folder,
    ...[
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`
    ]
  )
  openssl(
    folder,
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    "-CA",
    `${authority}.pem`,
    "-CAkey",
    `${authority}.key`,
    "-days",
    "30",
    "-out",
    `${name}.pem`
  )
  return { cert: readFileSync(join(folder, `${name}.pem`), "utf8"), key: readFileSync(join(folder, `${name}.key`), "utf8") }
}
