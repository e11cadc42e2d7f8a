import { createPusher } from '../apns/pusher.ts';
import { parseCertificate } from '../cms/x509.ts';
import type { Tx } from '../core/tx.ts';
import { commandStore } from '../db/command-store.ts';
import { executorOf } from '../db/database.ts';
import { driftStore } from '../db/drift-read.ts';
import { enrolledOnOtherTopic } from '../db/enrollment-facts.ts';
import { hostStore } from '../db/host-store.ts';
import { labelAnswerStore } from '../db/label-answer-store.ts';
import { labelStore } from '../db/label-store.ts';
import { mdmStore } from '../db/mdm-store.ts';
import { osqueryStore } from '../db/osquery-store.ts';
import { profileStore } from '../db/profile-store.ts';
import { pushCertificateStore, pushStore } from '../db/push-store.ts';
import { announceEverywhere } from '../db/recon-wave.ts';
import { originalOf } from '../db/reconcile-evidence.ts';
import { reconcileStore } from '../db/reconcile-store.ts';
import { certificateStore, enrollLinkStore } from '../db/scep-store.ts';
import { teamStore } from '../db/team-store.ts';
import { vitalsStore } from '../db/vitals-store.ts';
import { createLabelFiller } from '../hosts/fill-labels.ts';
import { createInventory } from '../hosts/inventory.ts';
import { createLabelHandlers } from '../hosts/label-handlers.ts';
import { createLabels } from '../hosts/labels.ts';
import { createTeams } from '../hosts/teams.ts';
import type { Metrics } from '../http/metrics.ts';
import { createEnqueue } from '../mdm/enqueue.ts';
import { createEnroll } from '../mdm/enroll.ts';
import { createMdmService } from '../mdm/service.ts';
import { createOsqueryService } from '../osquery/service.ts';
import { createPolicyExpectations } from '../profiles/policy-expectations.ts';
import { createProfiles } from '../profiles/profiles.ts';
import { createDriftReads } from '../reconciler/drift-reads.ts';
import { createReconciler } from '../reconciler/tick.ts';
import type { PreviewChange } from '../reconciler/types.ts';
import { createEnrollLinks } from '../scep/enroll-links.ts';
import { createScepService } from '../scep/service.ts';
import { createCertificateSigner } from '../scep/signer.ts';
import { commandBodies } from './command-bodies.ts';
import { createEffects } from './effects.ts';
import type { Foundation } from './foundation.ts';
import { createPushCertificates, pushEndpoint } from './push.ts';
import { tlsRoots } from './tls.ts';

export type Rooms = ReturnType<typeof createRooms>;

/** Builds every room on the foundation and joins them. Nothing runs yet. */
export function createRooms(foundation: Foundation, metrics: Metrics) {
  const { settings, db, unitOfWork, keys, clock, random, ids, log } = foundation;
  const { ORGANIZATION: organization, PUBLIC_URL: publicUrl } = settings;
  const profileSigner = keys.identity('profile_signing');
  const identityCa = keys.identity('identity_ca');
  const deviceVault = keys.vault('device');

  const wakeAfter = (tx: Tx) => unitOfWork.afterCommit(tx, reconcilerWake);
  const pushes = pushStore(db);
  const pushCertificates = createPushCertificates({
    store: pushCertificateStore(db),
    unitOfWork,
    vault: keys.vault('push'),
    clock,
    endpoint: pushEndpoint(settings),
    liveOnOtherTopic: (topic) => enrolledOnOtherTopic(db, topic),
    async queueFleet(tx) {
      await announceEverywhere(executorOf(tx), 'push certificate', clock.now());
      wakeAfter(tx);
    },
  });
  const pusher = createPusher({
    store: pushes,
    clientFor: pushCertificates.clientFor,
    clock,
    random,
    log,
    owner: ids.uuid(),
    onAnswer: ({ verdict }) => metrics.pushes.inc({ verdict: verdict.kind }),
  });

  const reconcileRows = reconcileStore(db);
  // What a dry run needs: the catalogue as it would be, and the planner's word on it.
  const rehearsal = {
    catalogueRows: (tx: Tx) => reconcileRows.loadCatalogue(tx),
    preview: (change: PreviewChange) => reconciler.preview(change),
  };
  const profiles = createProfiles({
    store: profileStore(db),
    unitOfWork,
    signer: profileSigner,
    witnessKey: keys.mac('witness'),
    clock,
    wakeAfter,
    ...rehearsal,
  });
  const reconciler = createReconciler({
    store: reconcileRows,
    // The commands of a batch are committed with their pushes in the outbox; the pusher learns of them here.
    unitOfWork: {
      async run(work) {
        const result = await unitOfWork.run(work);
        pusher.wake();
        return result;
      },
    },
    clock,
    ids,
    log,
    key: keys.mac('fingerprint'),
    commandBody: commandBodies(profiles.delivered),
    expectedPolicies: createPolicyExpectations(originalOf),
    afterCommit: unitOfWork.afterCommit,
    settings: {
      intervalMs: settings.RECONCILE_INTERVAL_MS,
      verifyGraceMs: settings.VERIFY_GRACE_MS,
      verifyBackoffMs: Math.min(settings.VERIFY_GRACE_MS, 60_000),
      profileListDelayMs: settings.PROFILE_LIST_DELAY_MS,
      noObserverAfterMs: settings.NO_OBSERVER_AFTER_MS,
    },
  });
  const drift = createDriftReads({ store: driftStore(db), clock });
  function reconcilerWake(): void {
    reconciler.wake();
  }

  const vitals = vitalsStore(db);
  const labelHandlers = createLabelHandlers({
    answers: labelAnswerStore(db),
    vitals,
    clock,
    confirmNo: settings.LABEL_CONFIRM_NO,
    wakeAfter,
  });
  const { handlers } = reconciler;
  const applyEffects = createEffects({
    async push(tx, { enrollment, reason, later }) {
      const delayMs = later === true ? settings.RECONCILE_INTERVAL_MS : 0;
      await pushes.request(tx, [enrollment], reason, new Date(clock.now().getTime() + delayMs));
      unitOfWork.afterCommit(tx, pusher.wake);
    },
    enrollment_started: handlers.onEnrollmentStarted,
    enrollment_live: handlers.onEnrollmentLive,
    enrollment_ended: handlers.onEnrollmentEnded,
    op_settled: handlers.onOpSettled,
    profiles_observed: handlers.onProfilesObserved,
    labels_answered: labelHandlers.onLabelsAnswered,
    host_facts_changed: labelHandlers.onHostFactsChanged,
    policies_observed: handlers.onPoliciesObserved,
  });

  const mdmRows = mdmStore(db);
  const commands = commandStore(db);
  const mdm = createMdmService({
    unitOfWork,
    store: mdmRows,
    commands,
    applyEffects,
    holdsTopic: async (topic) => pushCertificates.list().some((certificate) => certificate.topic === topic),
    sealer: deviceVault,
    opener: deviceVault,
    authorities: [parseCertificate(identityCa.certificate)],
    clock,
    ids,
    log,
  });
  const enqueue = createEnqueue({ unitOfWork, store: mdmRows, commands, applyEffects, clock, ids });

  const links = createEnrollLinks({ store: enrollLinkStore, unitOfWork, clock, random, ids });
  const scep = createScepService({
    store: certificateStore(db),
    signer: createCertificateSigner(identityCa),
    ra: keys.identity('scep_ra'),
    organization,
    clock,
    random,
    log,
  });
  const enroll = createEnroll({
    publicUrl,
    organization,
    displayName: `${organization} device management`,
    mintChallenge: links.mintChallenge,
    pushTopic: async () => pushCertificates.currentTopic(),
    signer: profileSigner,
    tlsRoots: () => tlsRoots(foundation.tls),
    identityAuthority: identityCa.certificate,
    ids,
    clock,
  });

  const teams = createTeams({ store: teamStore(db), unitOfWork, clock, wakeAfter, ...rehearsal });
  const labels = createLabels({ store: labelStore(db), unitOfWork, clock, wakeAfter, ...rehearsal });
  const labelFiller = createLabelFiller({ store: vitals, unitOfWork, clock, wakeAfter });
  const inventory = createInventory({ store: hostStore(db), unitOfWork, clock, ids, wakeAfter });
  const osquery = createOsqueryService({
    store: osqueryStore(db),
    unitOfWork,
    hosts: inventory,
    applyEffects,
    clock,
    random,
    log,
    intervalMs: settings.OSQUERY_INTERVAL_MS,
    profilesEveryMs: Math.max(settings.OSQUERY_INTERVAL_MS, settings.RECONCILE_INTERVAL_MS * 10),
    labelsEveryMs: settings.LABEL_INTERVAL_MS,
  });

  return {
    pushCertificates,
    pusher,
    profiles,
    reconciler,
    drift,
    mdm,
    mdmRows,
    commands,
    enqueue,
    links,
    scep,
    enroll,
    teams,
    labels,
    labelHandlers,
    labelFiller,
    inventory,
    osquery,
  };
}
