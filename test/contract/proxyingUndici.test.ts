import { proxyingContract } from "./proxyingContract.ts"

proxyingContract("olla on undici", "olla", { OLLA_ENGINE_CLIENT: "undici" })
