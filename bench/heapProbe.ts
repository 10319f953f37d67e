/** Loaded into a process by `--import`, beside `--expose-gc`: answers its parent's question with what is left after a forced collection. */
const collect = (globalThis as { gc?: () => void }).gc

process.on("message", (message) => {
  if (message !== "heap") return
  collect?.()
  // What finalizers let go is gone at the second.
  setTimeout(() => {
    collect?.()
    const { heapUsed, external, rss } = process.memoryUsage()
    process.send?.({ heapUsed, external, rss })
  }, 200)
})
process.channel?.unref()
