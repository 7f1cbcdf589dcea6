"""COCO's JSON files, as COCO itself, Roboflow, CVAT, Label Studio, FiftyOne and others write them."""
