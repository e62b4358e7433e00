// A page that was opened as a file gets no modules, and says so here: a script that is no module comes all the same.

if (location.protocol === "file:") {
  const command = Object.assign(document.createElement("code"), { textContent: "python -m http.server" });
  const [before, after] = navigator.language.startsWith("ja")
    ? ["このページにはウェブサーバーが必要です。このフォルダーで ", " を実行し、http://127.0.0.1:8000/ を開いてください。"]
    : ["This page needs a web server. Run ", " in its folder, and open http://127.0.0.1:8000/."];
  document.getElementById("loading-text").replaceChildren(before, command, after);
  document.getElementById("loading-bar").hidden = true;
}
