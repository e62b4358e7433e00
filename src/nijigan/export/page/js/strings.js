// Every text of the page, in English and Japanese.

const ENGLISH = {
  skip: "Skip to the faces", studio: "studio", tabs: "Ways to find a face",
  "tab.draw": "Draw", "tab.pick": "Pick", "tab.mix": "Mix", "tab.kept": "Kept",
  runs: "Trainings", model: "Model", place: "Drawn", "place.page": "in this page", "place.server": "on the server",
  language: "Language", theme: "Theme", "theme.auto": "Auto", "theme.light": "Light", "theme.dark": "Dark",
  loading: "Loading the network …", "loading.share": "Loading the network: {share} %", close: "Close",
  seed: "Seed", dice: "Roll the seed: other faces", lock: "Keep the characters",
  "lock.help": "On: other colours change these faces. Off: they bring new faces.",
  "colour.help": "The percentage is how often a face has the colour that was asked for.", psi: "Variety ψ", gallery: "Faces",
  more: "More faces", sheet: "Save all as one picture", archive: "Save all as a zip", any: "any", unknown: "unlabelled",
  face: "Face, seed {seed}", "face.made": "Face, made here", "face.words": "{face}: {words}",
  "desk": "The chosen face", "desk.empty": "Choose a face to steer it.",
  keep: "Keep", link: "Copy link", "link.done": "Link copied.", "link.secret": "Link copied. It has this server's token: whoever gets it can draw here.", "link.shown": "Copy the link from the address bar.",
  good: "A good face", bad: "A broken face", "rated": "Thank you. The rating stays in this browser.", "rated.server": "Thank you. The server has stored the rating.",
  download: "Save", "to-corner": "Put into Mix", "corner.done": "Put into a corner of Mix.",
  strip: "From plain to strange (ψ)", near: "Near this face", radius: "Distance", children: "Children",
  likeness: "Takes after", "children.help": "The other parent: a kept face, or a random one.",
  "children.make": "Make children", "children.other": "Another parent", directions: "Features", reset: "Reset", family: "Family",
  "family.parents": "Parents", "family.children": "Children", "family.ancestors": "Generation {n}",
  "accuracy": "{value}: right {share} % of the time", "accuracy.poor": "{value}: right only {share} % of the time",
  "accuracy.none": "{value}: not measured",
  "pick.1": "Pick the ones you like", "pick.2": "Pick again", "pick.3": "Which colours?", "pick.4": "Plain or strange?",
  "pick.step1": "Faces", "pick.step2": "Closer", "pick.step3": "Colours", "pick.step4": "Variety", "pick.step5": "Done",
  "pick.help1": "One or more. The next faces resemble them.", "pick.help2": "The faces get nearer to your choice each time.",
  "pick.help3": "The same character in other colours. Pick one.", "pick.help4": "The same character at other ψ. Pick one.",
  "pick.again": "Others", "pick.next": "More like these", "pick.colours": "On to colours", "pick.variety": "On to variety", "pick.none": "Pick at least one face.", "pick.single": "Pick a single face to go on with.",
  "pick.done": "Your character is on the desk.", "back": "Back", "pick.restart": "Start again",
  pad: "Between four faces", "pad.help": "Drag, or use the arrow keys. Click a corner to choose its face.",
  "pad.field": "Place between the corners", "pad.roll": "Other corners", "pad.result": "The face there", take: "Take this face",
  "pad.corner": "Corner {n}: choose its face", "pad.rate": "{rate} faces per second", "pad.place": "{x} % to the right, {y} % down",
  morph: "Morph", "morph.help": "From corner to corner and back, as a loop.", "morph.play": "Play", "morph.stop": "Stop",
  "morph.frames": "Frames per face", "morph.webp": "Save as WebP", "morph.film": "Save as video", "morph.png": "Save frames (zip)",
  "morph.nofilm": "This browser cannot write videos; save a WebP or the frames.",
  "morph.nowebp": "This browser cannot write WebP; save the frames.",
  kept: "Kept faces", "kept.empty": "Faces you keep appear here. They stay in this browser.", history: "Seen before",
  "kept.others": "Kept faces of other models: {n}. They are shown when their model is chosen.",
  "kept.remove": "Remove them", "kept.sure": "Remove {n} kept faces of other models from this browser?",
  "history.empty": "Faces you open appear here.", "history.clear": "Forget these", open: "Open a face",
  "open.help": "Drop PNGs that were saved here or by nijigan anywhere on this page, or choose some.",
  find: "Find a picture's face", "find.open": "Find a picture's face …",
  "find.help": "The server looks for the face that the network can draw and that is nearest to your picture. This takes up to half a minute.",
  "find.first": "One picture is searched at a time: this face is for the first.",
  "find.busy": "Looking for the nearest face …", "find.unseen": "No face was found in the picture; its centre is used.",
  "find.close": "Close: it differs from the picture no more than two neighbouring frames of a morph differ.",
  "find.similar": "Similar: it differs from the picture clearly less than two random faces of this generator do.",
  "find.far": "Far: it differs from the picture about as much as two random faces of this generator do. Colours and pose may agree all the same, but no nearer face was found.",
  private: "Nothing leaves this browser.",
  "private.server": "The server gets your ratings, pictures whose face you look for, and faces that it draws. Nothing else leaves this browser.",
  about: "{name}: {resolution} px, trained for {kimg} thousand pictures, repeats included.", "about.licence": "Licence: {licence}.",
  component: "Component {n}",
  "bad.png": "This picture has no record of a face. Image editors remove it; use the file as it was saved.",
  "bad.png.find": "For the face nearest to a picture, choose it below Find a picture's face.",
  "bad.store.rating": "The rating is not stored: this browser has no room, or forbids it.",
  "bad.many": "This picture shows many faces. Save faces one by one, or as a zip, to open them again.",
  "bad.model": "This face was made by another model ({weights}…), which is not here.",
  "bad.link": "The link does not describe a face; ask for it again.",
  "bad.seed": "A seed is a whole number from 0 to 999,999,999,999,999,999.",
  "bad.load": "The network could not be loaded ({reason}). Reload the page to try again.",
  "bad.draw": "The faces could not be drawn ({reason}). Reload the page to try again.",
  "bad.models": "There is no models.json beside this page ({reason}). Export the site again.",
  "bad.picture": "This file is not a picture that this browser can read; choose a PNG, JPEG or WebP.",
  "bad.server": "The server does not answer ({reason}). Is nijigan studio still running?",
  "bad.full": "{most} faces are kept, the most that fit. Remove some; save them as a zip first.",
  "bad.store": "This browser does not store the face: it has no room, or forbids it. Save the face as a file.",
  heavy: "This model is large for a web page, so faces come slowly.",
};

const JAPANESE = {
  skip: "顔へ移動", studio: "スタジオ", tabs: "顔の探し方",
  "tab.draw": "描く", "tab.pick": "選ぶ", "tab.mix": "混ぜる", "tab.kept": "保存",
  runs: "学習", model: "モデル", place: "描画", "place.page": "このページ", "place.server": "サーバー",
  language: "言語", theme: "テーマ", "theme.auto": "自動", "theme.light": "ライト", "theme.dark": "ダーク",
  loading: "ネットワークを読み込み中…", "loading.share": "ネットワークを読み込み中: {share} %", close: "閉じる",
  seed: "シード", dice: "シードを振る（別の顔）", lock: "キャラクターを固定",
  "lock.help": "オン: 色を変えても同じ顔。オフ: 色を変えると別の顔。",
  "colour.help": "％は、指定した色になる割合です。", psi: "多様さ ψ", gallery: "顔",
  more: "もっと描く", sheet: "1枚の画像に保存", archive: "zip で保存", any: "おまかせ", unknown: "ラベルなし",
  face: "顔、シード {seed}", "face.made": "ここで作った顔", "face.words": "{face}: {words}",
  desk: "選んだ顔", "desk.empty": "顔を選ぶと、ここで調整できます。",
  keep: "保存", link: "リンクをコピー", "link.done": "リンクをコピーしました。", "link.secret": "リンクをコピーしました。このサーバーのトークンが含まれ、受け取った人は誰でも使えます。", "link.shown": "アドレス欄からリンクをコピーしてください。",
  good: "良い顔", bad: "崩れた顔", rated: "ありがとうございます。評価はこのブラウザーに残ります。", "rated.server": "ありがとうございます。評価をサーバーに保存しました。",
  download: "ダウンロード", "to-corner": "「混ぜる」に入れる", "corner.done": "「混ぜる」の角に入れました。",
  strip: "平凡から奇抜へ (ψ)", near: "似た顔", radius: "距離", children: "子ども",
  likeness: "どちら似", "children.help": "もう一人の親: 保存した顔、なければランダムな顔。",
  "children.make": "子どもを作る", "children.other": "別の親", directions: "特徴", reset: "元に戻す", family: "家系",
  "family.parents": "親", "family.children": "子ども", "family.ancestors": "{n} 世代前",
  accuracy: "{value}: 正しさ {share} %", "accuracy.poor": "{value}: 正しさは {share} % だけ", "accuracy.none": "{value}: 未測定",
  "pick.1": "好きな顔を選んでください", "pick.2": "もう一度選んでください", "pick.3": "どの色にしますか", "pick.4": "平凡？奇抜？",
  "pick.step1": "顔", "pick.step2": "絞る", "pick.step3": "色", "pick.step4": "多様さ", "pick.step5": "完成",
  "pick.help1": "1つ以上。次の顔はそれに似ます。", "pick.help2": "選ぶたびに、好みに近づきます。",
  "pick.help3": "同じキャラクターの別の色。1つ選んでください。", "pick.help4": "同じキャラクターの別の ψ。1つ選んでください。",
  "pick.again": "ほかの顔", "pick.next": "似た顔をもっと", "pick.colours": "色へ進む", "pick.variety": "多様さへ進む", "pick.none": "1つ以上選んでください。", "pick.single": "先へ進む顔を1つだけ選んでください。",
  "pick.done": "キャラクターができました。右で調整できます。", back: "戻る", "pick.restart": "最初から",
  pad: "4つの顔の間", "pad.help": "ドラッグするか、矢印キーで動かします。角をクリックすると顔を選べます。",
  "pad.field": "4つの角の間の位置", "pad.roll": "別の角", "pad.result": "その場所の顔", take: "この顔にする",
  "pad.corner": "角 {n} の顔を選ぶ", "pad.rate": "毎秒 {rate} 枚", "pad.place": "右へ {x} %、下へ {y} %",
  morph: "モーフ", "morph.help": "角から角へ、繰り返し。", "morph.play": "再生", "morph.stop": "停止",
  "morph.frames": "1つの顔のコマ数", "morph.webp": "WebP で保存", "morph.film": "動画で保存", "morph.png": "コマを保存 (zip)",
  "morph.nofilm": "このブラウザーは動画を作れません。WebP かコマを保存してください。",
  "morph.nowebp": "このブラウザーは WebP を作れません。コマを保存してください。",
  kept: "保存した顔", "kept.empty": "保存した顔がここに並びます。このブラウザーにだけ残ります。", history: "見た顔",
  "kept.others": "別のモデルの保存した顔: {n}。そのモデルを選ぶと表示されます。",
  "kept.remove": "外す", "kept.sure": "別のモデルの顔 {n} 件をこのブラウザーから外しますか。",
  "history.empty": "開いた顔がここに並びます。", "history.clear": "忘れる", open: "顔を開く",
  "open.help": "ここや nijigan で保存した PNG を、このページにドロップするか、選んでください。",
  find: "写真に近い顔を探す", "find.open": "写真に近い顔を探す…", "find.help": "画像に最も近く、ネットワークが描ける顔をサーバーが探します。30秒ほどかかることがあります。",
  "find.first": "一度に探せる画像は1枚です。最初の画像に近い顔を表示しました。",
  "find.busy": "近い顔を探しています…", "find.unseen": "画像に顔が見つからず、中央を使いました。",
  "find.close": "近い: 画像との違いは、モーフの隣り合うコマの違い以下です。",
  "find.similar": "似ている: 画像との違いは、ランダムな二つの顔の違いより明らかに小さいです。",
  "find.far": "遠い: 画像との違いは、ランダムな二つの顔の違いと同じくらいです。色や向きは合うこともありますが、より近い顔は見つかりませんでした。",
  private: "このブラウザーから何も送信されません。",
  "private.server": "サーバーに送られるのは、評価、顔を探す画像、サーバーで描く顔だけです。",
  about: "{name}: {resolution} px、学習画像はのべ {kimg} 千枚。", "about.licence": "ライセンス: {licence}",
  component: "成分 {n}",
  "bad.png": "この画像には顔の記録がありません。画像編集ソフトで消えるため、保存したままのファイルを使ってください。",
  "bad.png.find": "画像に近い顔を探すには、「写真に近い顔を探す」で選んでください。",
  "bad.store.rating": "空きがないか禁止されているため、このブラウザーに評価を保存できません。",
  "bad.many": "この画像には多くの顔があります。開き直すには、一つずつ、または ZIP で保存してください。",
  "bad.model": "この顔は別のモデル（{weights}…）のもので、ここにはありません。",
  "bad.link": "リンクが顔を表していません。もう一度もらってください。",
  "bad.seed": "シードは 0 から 999,999,999,999,999,999 までの整数です。",
  "bad.load": "ネットワークを読み込めませんでした（{reason}）。再読み込みしてください。",
  "bad.draw": "顔を描けませんでした（{reason}）。再読み込みしてください。",
  "bad.models": "このページの隣に models.json がありません（{reason}）。もう一度書き出してください。",
  "bad.picture": "このブラウザーで読めない画像です。PNG、JPEG、WebP を選んでください。",
  "bad.server": "サーバーが応答しません（{reason}）。nijigan studio は動いていますか。",
  "bad.full": "保存できる顔は {most} 件までです。ZIP に保存してから、いくつか外してください。",
  "bad.store": "空きがないか禁止されているため、このブラウザーに保存できません。ファイルに保存してください。",
  heavy: "このモデルは大きいため、描画に時間がかかります。",
  "word.hair": "髪", "word.eyes": "目", "word.year": "年代", "word.aqua": "水色", "word.black": "黒", "word.blonde": "金", "word.blue": "青",
  "word.brown": "茶", "word.gray": "灰", "word.grey": "灰", "word.green": "緑", "word.orange": "橙", "word.pink": "桃", "word.purple": "紫",
  "word.red": "赤", "word.white": "白", "word.yellow": "黄", "word.silver": "銀",
  "word.light on the right": "右からの光", "word.light above": "上からの光", "word.bare forehead": "額の広さ", "word.detail": "細かさ",
  "word.background brightness": "背景の明るさ", "word.face brightness": "顔の明るさ", "word.hair brightness": "髪の明るさ",
  "word.height of the dark parts": "暗い部分の高さ",
  "word.brightness": "明るさ", "word.saturation": "彩度", "word.warmth": "暖かさ", "word.contrast": "コントラスト",
};

const TABLES = { en: ENGLISH, ja: JAPANESE };
let table = ENGLISH;

/** A text of the chosen language, with {names} filled in. */
export function t(key, values = {}) {
  const text = table[key] ?? ENGLISH[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** A word of a model, such as "hair", "blue" or "component 4", in the chosen language. */
export function word(name) {
  const number = /^component (\d+)$/.exec(name)?.[1];
  return number ? t("component", { n: number }) : (table[`word.${name}`] ?? name.replaceAll("_", " "));
}

/** The language that fits the browser. */
export const usual = () => (navigator.languages.find((tag) => TABLES[tag.slice(0, 2)])?.slice(0, 2)) ?? "en";

/** Change the language of everything marked with data-t, data-t-label and data-t-title. */
export function speak(language) {
  const known = Object.hasOwn(TABLES, language) ? language : "en"; // what is remembered may be damaged
  table = TABLES[known];
  document.documentElement.lang = known;
  document.title = `nijigan ${t("studio")}`;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
  for (const element of document.querySelectorAll("[data-t-title]")) element.title = t(element.dataset.tTitle);
}

export const missing = Object.keys(ENGLISH).filter((key) => !(key in JAPANESE));
