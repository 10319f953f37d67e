/** Embeddings in the client's form where the endpoint has it, else in the other one. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Decision } from "../../routing/Router.ts"
import { Complaint } from "../../translation/Complaint.ts"
import { type EmbeddingsClient, readEmbeddings, spokenEmbeddings } from "../../translation/Embeddings.ts"
import { isRecord, type JsonRecord, parseJson } from "../../translation/JsonValue.ts"
import { errorBody } from "../../translation/openai/OpenAiErrors.ts"
import type { Body } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import type { ProxyTarget } from "./PlainSurface.ts"
import { type OtherWords, RewordedSurface } from "./RewordedSurface.ts"
import type { Asked, Plan, Settling } from "./Surface.ts"
import { textOfBody } from "./TranslatedRequest.ts"

/** Bytes of a request whose prompt may be empty; longer ones are not read for it. */
const longestEmpty = 16 * 1024

const isEmpty = (request: unknown): boolean => isRecord(request) && request["prompt"] === ""

export class EmbeddingsSurface extends RewordedSurface {
  readonly #client: EmbeddingsClient

  constructor(services: Services, context: RequestContext, target: ProxyTarget, client: EmbeddingsClient) {
    super(services, context, target)
    this.#client = client
  }

  /** Ollama makes nothing of nothing, which clients ask for to have the model loaded. */
  override plan(walk: Settling, asked: Asked, body: Body, decision: Decision): Plan | undefined {
    if (this.#client !== "ollamaOne" || body.size > longestEmpty || !isEmpty(parseJson(textOfBody(body))))
      return super.plan(walk, asked, body, decision)
    walk.settle({ _tag: "completed", status: 200 })
    this.context.json({ embedding: [] }, this.context.decisionHeaders())
    return undefined
  }

  protected override get readable(): number {
    return this.bodyLimit.bytes
  }

  /** One that has neither form is asked as it came, and says so itself. */
  protected override isRelayed({ profile }: Endpoint): boolean {
    if (this.context.exchange.method !== "POST") return true
    const forms = profile?.embeddings ?? ["openai"]
    const own = this.#client === "openai" ? "openai" : "ollama"
    return forms.includes(own) || (own === "openai" && forms.length === 0)
  }

  protected override reworded(request: JsonRecord, { inspection }: Asked, _body: Body): OtherWords {
    const read = readEmbeddings(this.#client, request)
    const to = this.#client === "openai" ? "ollama" : "openai"
    const ending = to === "openai" ? "/v1/embeddings" : "/api/embed"
    const pathAt = ({ profile }: Endpoint) => profile?.paths.find((each) => each.endsWith(ending)) ?? ending
    return {
      complaintFor: ({ endpoint: { profile } }) => {
        if (read instanceof Complaint) return read
        return (profile?.embeddings ?? ["openai"]).includes(to)
          ? undefined
          : new Complaint("the endpoints of this model make no embeddings")
      },
      speak: (endpoint, nativeName) => {
        if (this.isRelayed(endpoint)) return undefined
        if (read instanceof Complaint) throw new Error(read.message)
        return spokenEmbeddings(this.#client, to, pathAt(endpoint), nativeName === "" ? inspection.spelling : nativeName, read)
      },
      target: (endpoint) => (this.isRelayed(endpoint) ? undefined : pathAt(endpoint))
    }
  }

  protected override errorBody(status: number, message: string, details: JsonRecord | undefined): string {
    return this.#client === "openai" ? errorBody(status, message, "", details) : JSON.stringify({ error: message })
  }
}
