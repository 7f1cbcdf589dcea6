/** Les mots français de la vue Suivi. */

import { sayChange } from "../logic/drift.js";

const FEATURES = {
  megapixels: "Taille en mégapixels",
  aspect: "Largeur sur hauteur",
  brightness: "Luminosité",
  contrast: "Contraste",
  sharpness: "Netteté",
  green_red: "Du vert au rouge",
  blue_yellow: "Du bleu au jaune",
  saturation: "Force des couleurs",
  jpeg_quality: "Qualité JPEG",
  format: "Format du fichier",
  detections: "Objets trouvés",
  count: "Compte",
  first_class: "Première classe",
  score_largest: "Score de l’objet le plus sûr",
  score_mean: "Score moyen",
  score_smallest: "Score de l’objet le moins sûr",
  box_area: "Taille moyenne des objets",
  box_area_largest: "Taille du plus grand objet",
  box_aspect: "Largeur sur hauteur des objets",
  box_x: "Place de gauche à droite",
  box_y: "Place de haut en bas",
  probability: "Probabilité de la première classe",
  margin: "Avance de la première classe",
  entropy: "Indécision",
  set_size: "Classes possibles",
  distance: "Distance aux images d’entraînement",
  embedding_rest: "Étrangeté pour le réseau",
};

/** Sentences if there is less, and if there is more, than in training. */
const LESS_MORE = {
  megapixels: ["Les images sont plus petites", "Les images sont plus grandes"],
  aspect: ["Les images sont plus étroites", "Les images sont plus larges"],
  brightness: ["Les images sont plus sombres", "Les images sont plus claires"],
  contrast: ["Les images ont moins de contraste", "Les images ont plus de contraste"],
  sharpness: ["Les images sont plus floues", "Les images sont plus nettes ou plus bruitées"],
  green_red: ["Les images sont plus vertes", "Les images sont plus rouges"],
  blue_yellow: ["Les images sont plus bleues", "Les images sont plus jaunes"],
  saturation: ["Les couleurs sont plus pâles", "Les couleurs sont plus fortes"],
  jpeg_quality: ["Les images sont plus compressées", "Les images sont moins compressées"],
  detections: ["Moins d’objets sont trouvés", "Plus d’objets sont trouvés"],
  count: ["Les comptes sont plus bas", "Les comptes sont plus élevés"],
  score_largest: ["L’objet le plus sûr est moins sûr", "L’objet le plus sûr est plus sûr"],
  score_mean: ["Les réponses sont moins sûres", "Les réponses sont plus sûres"],
  score_smallest: ["L’objet le moins sûr est moins sûr", "L’objet le moins sûr est plus sûr"],
  box_area: ["Les objets sont plus petits", "Les objets sont plus grands"],
  box_area_largest: ["Le plus grand objet est plus petit", "Le plus grand objet est plus grand"],
  box_aspect: ["Les objets sont plus étroits", "Les objets sont plus larges"],
  box_x: ["Les objets sont plus à gauche", "Les objets sont plus à droite"],
  box_y: ["Les objets sont plus haut", "Les objets sont plus bas"],
  probability: ["Les réponses sont moins sûres", "Les réponses sont plus sûres"],
  margin: ["Les deux premières classes sont plus proches", "Les deux premières classes sont plus éloignées"],
  entropy: ["Les réponses sont plus décidées", "Les réponses sont moins décidées"],
  set_size: ["Moins de classes sont possibles", "Plus de classes sont possibles"],
  distance: ["Les images sont plus habituelles", "Les images sont plus étranges"],
  embedding_rest: ["Les images sont plus habituelles pour le réseau", "Les images sont plus étranges pour le réseau"],
};

const SUBJECTS = { first_class: (word) => `La classe « ${word} »`, format: (word) => `Le format « ${word} »` };
const percent = (share) => `${Math.round(share * 100)}\u202f%`;
const small = (sentence) => sentence[0].toLowerCase() + sentence.slice(1);
const answers = (count) => `${count} ${count < 2 ? "réponse" : "réponses"}`;
const nameOf = (feature) =>
  FEATURES[feature] ?? feature.replace(/^detections\.(.*)/, "Nombre de « $1 »").replace(/^embedding_(\d+)/, "Aspect de l’image, direction $1").replaceAll("_", " ");

const SENTENCES = {
  name: nameOf,
  lessMore: LESS_MORE,
  missing: (name, now, then) => `${name} : absent dans ${percent(now)} des réponses, à l’entraînement dans ${percent(then)}`,
  beyond: (share, known, name, more) =>
    known ? `Dans ${percent(share)} des images, ${small(known)} que dans presque toutes celles de l’entraînement` : `${name} : ${percent(share)} des images ont une valeur plus ${more ? "élevée" : "basse"} que presque toutes celles de l’entraînement`,
  otherwise: (name) => `${name} : autrement répartie qu’à l’entraînement`,
  moved: (known, name, more) => `${known ?? `${name} : valeurs plus ${more ? "élevées" : "basses"}`} qu’à l’entraînement`,
  word: (feature, word) => SUBJECTS[feature]?.(word || "aucune") ?? `${nameOf(feature)} « ${word || "aucun"} »`,
  comes: (subject, more, now, then) => `${subject} vient plus ${more ? "souvent" : "rarement"} : ${percent(now)}, à l’entraînement ${percent(then)}`,
};

export const monitoring = {
  title: "Suivi",
  lead: "Ce que chaque modèle reçoit et répond maintenant, à côté de ce sur quoi il a été accepté. Seuls des nombres sont gardés, jamais une image.",
  loading: "Le moniteur est interrogé…",
  name: nameOf,
  says: (feature) => (feature.differs ? sayChange(feature, SENTENCES) : ""),
  noSource: "sans source",
  states: { changed: "Changé", steady: "Comme à l’entraînement", "too few": "Trop peu pour juger", gathering: "En collecte" },
  streams: "Qui est suivi",

  notices: {
    absent: {
      title: "Aucun moniteur ne tourne",
      detail: "Il compare ce que voient vos modèles avec ce sur quoi ils ont été acceptés, et dit quand cela a changé. Lancez-le par l’une de ces commandes :",
    },
    starting: { title: "Le moniteur vient de démarrer", detail: "Il lit d’abord le journal. Cette page remarque d’elle-même quand il a fini." },
    away: {
      title: "MLflow ne répond pas",
      detail: (when) => `Voici ce que l’on savait le ${when}. Rien n’est perdu : le moniteur reprendra où il s’est arrêté. Redémarrez MLflow.`,
    },
    failed: { title: "Le moniteur n’a pas pu finir son dernier tour", detail: (why, when) => `${why}. Voici ce que l’on savait le ${when}.` },
    empty: {
      title: "Rien encore à comparer",
      detail: "Demandez quelque chose à un modèle : ses réponses comptent ici quelques minutes plus tard. Donnez un nom à chaque caméra, pour qu’elle soit comparée à part :",
    },
  },

  verdict: {
    steady: "Les images et les réponses sont comme à l’entraînement.",
    gathering: (rows, needed) => `${rows} réponses sur ${needed} pour le premier verdict.`,
    gatheringMore: (rows, needed) => `${rows} réponses sur ${needed} attendent le prochain verdict.`,
    tooFewRows: (rows) => `Seulement ${answers(rows)} : trop peu pour en dire quelque chose.`,
    tooSimilar: (rows, different) => `${answers(rows)} ne montrent qu’environ ${different} images différentes : une caméra est peut-être figée, ou un client envoie toujours la même image.`,
    more: (count) => `Et ${count} de plus, voir plus bas.`,
    once: (says) => `Dans les dernières réponses seulement : ${says}. Cela compte comme un changement si les suivantes le disent aussi.`,
    since: (when, count) => (count === 1 ? `Dit pour la première fois le ${when}.` : `Depuis le ${when}, ${count} verdicts de suite.`),
    window: (rows, when) => `Le dernier, le ${when}, a regardé ${answers(rows)}.`,
    what: "Que faire",
    next: {
      changed: "Regardez quelques-unes des nouvelles images. Les réponses sont-elles encore justes ? Alors il n’y a rien à faire. Sinon, annotez quelques-unes de ces images et entraînez avec elles. Rien ne s’entraîne ni ne se promeut tout seul.",
      steady: "Il n’y a rien à faire.",
      "too few": "Attendez d’autres images, ou voyez si la caméra bouge encore.",
      gathering: "Il n’y a rien à faire : le moniteur juge dès qu’il y en a assez.",
    },
    mlflow: "Ouvrir dans MLflow",
    report: "Rapport d’Evidently",
  },

  history: {
    title: "Verdicts jusqu’ici",
    none: "C’est le premier verdict, ou aucun n’est encore connu.",
    entry: (when, state, changed) => `${when} : ${state}${changed ? ` (${changed})` : ""}`,
    count: (changed, all) => `${changed} des ${all} derniers verdicts disent « changé ».`,
  },

  features: {
    title: "Avant et maintenant",
    then: "À l’entraînement",
    now: "Maintenant",
    none: "aucune valeur",
    missing: (share) => `${share} sans valeur`,
    others: "tous les autres",
    nothing: "rien",
    same: (count) => (count === 1 ? "1 autre mesure est comme à l’entraînement" : `${count} autres mesures sont comme à l’entraînement`),
    drawing: (name, then, now) => `${name} : ${then} à l’entraînement, ${now} maintenant`,
    noComparison: "Il n’y a pas de comparaison à montrer.",
  },

  traffic: {
    title: "Demandes et latence",
    hours: "Sur",
    spans: { 6: "6 heures", 24: "24 heures", 168: "7 jours" },
    requests: "Demandes par minute",
    latency: "95\u202f% répondues en, ms",
    ago: { hours: "il y a … heures", days: "il y a … jours" },
    none: "Aucune demande dans ce temps.",
    fromLog: "Compté dans le journal, qui a quelques minutes de retard et ne connaît pas la latence. Avec Prometheus, il y a les deux.",
    fromPrometheus: "Mesuré par Prometheus.",
    line: (name, last) => `${name} : ${last} à la fin`,
  },
  updated: (time) => `Le moniteur a regardé pour la dernière fois le ${time}`,
};
