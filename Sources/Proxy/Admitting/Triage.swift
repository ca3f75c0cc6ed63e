// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore

/// What a complete head comes to, before anybody is asked: target and route first, then the credential (docs/design.md,
/// "The order of a request").
///
/// It follows from the configuration, the head and the peer that sent it; nothing is done here. What was found on the way
/// is told by the properties, also of a request that is refused.
struct Triage {
    enum Verdict {
        /// Refused for what it is.
        ///
        /// - charged: what its address pays for that, so that nobody enumerates routes for free; nil where it costs
        ///   nothing.
        case refuse(Refusal, charged: AdmissionRequest?)
        case answer(OwnAnswer)
        /// To be asked about, once what its message says is known too.
        ///
        /// - refusing: why it goes no further all the same, when its credential was judged.
        case admit(AdmissionRequest, refusing: Refusal?)
    }

    /// An answer without the handler that is no refusal. It costs nobody a token, and Redis nothing.
    enum OwnAnswer {
        /// Public by its nature, and for pages of any origin (RFC 9728 §3).
        case metadata(ResourceMetadata)
        /// A page asks whether it may ask.
        ///
        /// - methods: that the path takes, as Allow has them.
        case preflight(CrossOriginSharing, methods: [UInt8])
    }

    let client: ClientAddress
    /// The peer may name the client, and hasn't.
    let isUnnamed: Bool
    /// As sent, without the query; nil before the verdict.
    private(set) var path: Range<Int>?
    /// Whose policies ask.
    private(set) var route: Snapshot.RoutePlan
    /// It takes the request.
    private(set) var isRouted = false
    /// It is answered, or passed on, as a browser's question before a request.
    private(set) var isPreflight = false
    /// On `mcp` routes: what it asks for, as far as its fields say.
    private(set) var intake: MessageIntake?
    /// Bytes of body that are taken.
    private(set) var bodyLimit: Int
    private(set) var credentialWasPresented = false

    init(_ head: borrowing RequestHead, from peer: Peer, by snapshot: Snapshot) {
        // `namedClient` asks the same, but is handed a copy of those that are trusted: most requests name nobody.
        let mayBeNamed = peer.isTrusted && snapshot.trustedProxies.mayBeNamed(in: head)
        let named = mayBeNamed ? peer.namedClient(of: head, trusted: snapshot.trustedProxies) : nil
        client = named ?? peer.client
        isUnnamed = named == nil && peer.speaksForOthers
        route = snapshot.anyRoute
        bodyLimit = snapshot.bounds.bodyBytes
    }

    /// To be asked once.
    ///
    /// - Parameter joinedPlans: those that are known, of routes that a careless reader confuses.
    mutating func verdict(
        on head: RequestHead, by snapshot: Snapshot, _ joinedPlans: inout JoinedPlans
    ) -> Verdict {
        let target: RequestTarget
        switch snapshot.routes.target(of: head) {
        case .refused(let flaw):
            path = RequestTarget.refusedPath(of: head)
            return charged(.malformed(400, flaw.detail), head)
        case .target(let judged): target = judged
        }
        path = target.raw
        if let metadata = snapshot.resourceMetadata, metadata.isServed(at: head.view(of: target.raw)) {
            if head.method == .get || head.method == .head { return .answer(.metadata(metadata)) }
            if head.isPreflight { return .answer(.preflight(.forEveryPage, methods: ResourceMetadata.methods)) }
        }
        isPreflight = head.isPreflight && (snapshot.pages.crossOrigin != nil || snapshot.pages.forwardsPreflights)
        if let refusal = findRoute(of: target, in: head, by: snapshot, &joinedPlans) {
            // It is our own want of knowledge that refuses it, and nobody guesses paths by that.
            return refusal.status == 503 ? .refuse(refusal, charged: nil) : charged(refusal, head)
        }
        isRouted = true
        if isPreflight, let crossOrigin = snapshot.pages.crossOrigin {
            return .answer(.preflight(crossOrigin, methods: snapshot.routes.methods(of: target, in: head)))
        }
        if route.isMCP, !isPreflight, let refusal = readFields(of: head, by: snapshot.messages) {
            return charged(refusal, head)
        }
        // Without `cors` a preflight is the handler's business, unless it is refused; it carries no credential by its
        // nature.
        return route.isPublic || isPreflight ? askPublic(head) : askProtected(head, snapshot.credentials)
    }

    /// - Returns: why there is none that takes the request.
    private mutating func findRoute(
        of target: RequestTarget, in head: RequestHead, by snapshot: Snapshot, _ joinedPlans: inout JoinedPlans
    ) -> Refusal? {
        switch snapshot.routes.match(target, of: head, isPreflight: isPreflight) {
        case .unknown where snapshot.routes.awaitsMore:
            return .unavailable("Routes not known yet", reason: .routesUnknown)
        case .unknown:
            return .unknownRoute(path: head.path(of: target), method: head.methodOctets)
        case .methodNotAllowed(let allow, let index):
            if let index { route = snapshot.plan(of: index) }
            let refusal = Refusal.methodNotAllowed(
                path: head.path(of: target), method: head.methodOctets, allow: allow)
            // What follows on it may be meant for the other end of a tunnel.
            refusal.closes = head.method == .connect
            return refusal
        case .route(let index, let loose):
            route = loose.isEmpty ? snapshot.plan(of: index) : joinedPlans.plan(of: index, and: loose, in: snapshot)
        case .anything: break
        case .wellKnown:
            // A client that looks for a document there must not be told to bring a key: it would start OAuth.
            guard snapshot.credentials.find(in: head) == .none else { break }
            guard MethodSet.wellKnown.contains(methodOf: head) else {
                return .methodNotAllowed(
                    path: head.path(of: target), method: head.methodOctets, allow: MethodSet.wellKnown.allow)
            }
            route = snapshot.wellKnown
        }
        return nil
    }

    // MARK: What it is asked for

    private func askPublic(_ head: RequestHead) -> Verdict {
        if let refusal = unfitBody(of: head) { return .refuse(refusal, charged: nil) }
        return .admit(request(.publicRoute, head), refusing: nil)
    }

    private mutating func askProtected(_ head: RequestHead, _ credentials: Credentials) -> Verdict {
        let credential: AdmissionRequest.Credential
        switch credentials.find(in: head) {
        case .none: credential = .absent
        case .one(let bytes):
            credential = .presented(bytes)
            credentialWasPresented = true
        case .clash(let detail):
            return .refuse(Refusal(400, detail, reason: .credentialClash), charged: nil)
        }
        // A body that is too large is refused after the credential was judged, and costs nothing; to bring no good one
        // costs.
        let refusal = unfitBody(of: head)
        return .admit(
            request(refusal == nil ? .protected : .judged, head, credential, scopes: route.scopes), refusing: refusal)
    }

    private func charged(_ refusal: Refusal, _ head: RequestHead) -> Verdict {
        .refuse(refusal, charged: .refused(client, on: route, head))
    }

    private func request(
        _ kind: AdmissionRequest.Kind, _ head: RequestHead, _ credential: AdmissionRequest.Credential = .absent,
        scopes: [String] = []
    ) -> AdmissionRequest {
        AdmissionRequest(
            kind: kind, isThrottled: route.isThrottled, credential: credential, address: client.subject,
            clientAddress: client.address, selection: route.selection(for: head), scopes: scopes,
            onFailure: route.onFailure)
    }

    // MARK: Its message

    /// - Returns: why it goes no further.
    private mutating func readFields(of head: RequestHead, by options: MessageOptions) -> Refusal? {
        if let flaw = MessageTraits.flaw(of: head) { return Refusal(400, flaw, reason: .malformedMessage) }
        let intake = MessageIntake(head, on: route, options)
        self.intake = intake
        if let refusal = options.browserGuard.refusal(of: head) { return refusal }
        if intake.readsBody { bodyLimit = min(bodyLimit, options.bodyBytes) }
        return nil
    }

    /// Why a body like this one isn't taken at all.
    private func unfitBody(of head: RequestHead) -> Refusal? {
        guard head.framing.fits(bodyLimit) else { return .bodyTooLarge(limit: bodyLimit) }
        return intake?.readsBody == true ? MessageTraits.unreadableEncoding(of: head) : nil
    }
}

extension AdmissionRequest {
    /// The address alone pays, for what it got wrong.
    static func refused(
        _ client: ClientAddress, on route: Snapshot.RoutePlan, _ head: RequestHead
    ) -> AdmissionRequest {
        AdmissionRequest(
            kind: .refusal, address: client.subject, clientAddress: client.address,
            selection: route.selection(for: head))
    }
}

extension Snapshot.RoutePlan {
    /// The policies that ask about requests with that head's method, whatever else they say.
    fileprivate func selection(for head: RequestHead) -> PolicySelection {
        selection(for: head.method, name: head.string(in: head.methodRange))
    }
}

extension BodyFraming {
    /// Whether it may be a body of so many bytes at most.
    func fits(_ limit: Int) -> Bool { declaredLength.map { $0 <= UInt64(limit) } ?? true }
}

extension RequestHead {
    fileprivate var methodOctets: [UInt8] { octets(in: methodRange) }

    /// An absolute target without a path means `/`.
    fileprivate func path(of target: RequestTarget) -> [UInt8] {
        target.raw.isEmpty ? [UInt8(ascii: "/")] : octets(in: target.raw)
    }
}
